package standin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"atelier/internal/picture"
	"atelier/processors/gemini"
)

// Bounds of a request, as the API's.
const (
	inlineBytesMax = 7 << 20
	// promptTokensMax is the input that the models take (count).
	promptTokensMax = 131_072
	// outputTokensMax is what the text models answer with (count).
	outputTokensMax = 65_536
)

// generateRequest is the part of a request that the stand-in reads.
type generateRequest struct {
	Contents          []content `json:"contents"`
	SystemInstruction *content  `json:"systemInstruction"`
	GenerationConfig  struct {
		CandidateCount     int      `json:"candidateCount"`
		Temperature        *float64 `json:"temperature"`
		Seed               *int64   `json:"seed"`
		MaxOutputTokens    int      `json:"maxOutputTokens"`
		ResponseModalities []string `json:"responseModalities"`
		ResponseMIMEType   string   `json:"responseMimeType"`
		ResponseSchema     any      `json:"responseSchema"`
		ResponseJSONSchema any      `json:"responseJsonSchema"`
		ImageConfig        *struct {
			AspectRatio string `json:"aspectRatio"`
			ImageSize   string `json:"imageSize"`
		} `json:"imageConfig"`
	} `json:"generationConfig"`
}

type content struct {
	Role  string `json:"role"`
	Parts []struct {
		Text       string `json:"text"`
		InlineData *struct {
			MIMEType string `json:"mimeType"`
			Data     string `json:"data"`
		} `json:"inlineData"`
	} `json:"parts"`
}

// task is a request that was found good.
type task struct {
	model         gemini.Model
	prompt        string
	references    [][]byte
	seed          int32
	ratio, size   string
	width, height int
	text, image   bool // wanted modalities

	system string

	// Of a call for words:
	json            bool // an answer of the schema, or of none
	schema          schema
	maxOutputTokens int    // 0: no bound
	question        string // that a rule wants answered in its way
}

// refusal is an answer that says what is wrong.
type refusal struct {
	code    int
	status  string
	message string
	details []any
}

func invalid(format string, args ...any) *refusal {
	return &refusal{code: 400, status: "INVALID_ARGUMENT", message: fmt.Sprintf(format, args...)}
}

// taskOf checks a request against its model.
func taskOf(model gemini.Model, r generateRequest) (task, *refusal) {
	t := task{model: model}
	if refused := t.readContents(r); refused != nil {
		return task{}, refused
	}
	config := r.GenerationConfig
	switch {
	case config.CandidateCount > 1:
		return task{}, invalid("Multiple candidates is not enabled for this model")
	case config.Temperature != nil && (*config.Temperature < 0 || *config.Temperature > 2):
		return task{}, invalid("* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n")
	case config.Seed != nil && (*config.Seed < math.MinInt32 || *config.Seed > math.MaxInt32):
		return task{}, invalid("Invalid value at 'generation_config.seed' (TYPE_INT32), %d", *config.Seed)
	}
	if config.Seed != nil {
		t.seed = int32(*config.Seed)
	}
	if refused := t.readModalities(config.ResponseModalities); refused != nil {
		return task{}, refused
	}
	read := t.readCanvas
	if model.Text != nil {
		read = t.readAnswer
	}
	if refused := read(r); refused != nil {
		return task{}, refused
	}
	return t, nil
}

// readCanvas checks a call for a picture: of which ratio and size, and not in JSON.
func (t *task) readCanvas(r generateRequest) *refusal {
	t.ratio, t.size = "1:1", gemini.Size1K
	config := r.GenerationConfig
	if config.ResponseMIMEType == jsonType || config.ResponseSchema != nil || config.ResponseJSONSchema != nil {
		return invalid("JSON mode is not enabled for models/%s", t.model.ID)
	}
	if config.ImageConfig != nil && config.ImageConfig.AspectRatio != "" {
		t.ratio = config.ImageConfig.AspectRatio
	}
	if config.ImageConfig != nil && config.ImageConfig.ImageSize != "" {
		t.size = config.ImageConfig.ImageSize
	}
	width, height, ok := t.model.Pixels(t.ratio, t.size)
	if !ok && !slices.Contains(t.model.Ratios, t.ratio) {
		return invalid("Unsupported aspect ratio %.16q for models/%s. Supported: %s.", t.ratio, t.model.ID, strings.Join(t.model.Ratios, ", "))
	}
	if !ok {
		return invalid("Unsupported image size %.16q for models/%s.", t.size, t.model.ID)
	}
	t.width, t.height = width, height
	return nil
}

// jsonType is the MIME type of structured output.
const jsonType = "application/json"

// readAnswer checks a call for words: in JSON or not, by which schema.
func (t *task) readAnswer(r generateRequest) *refusal {
	config := r.GenerationConfig
	t.json, t.maxOutputTokens = config.ResponseMIMEType == jsonType, config.MaxOutputTokens
	switch {
	case config.ImageConfig != nil:
		return invalid("Image generation is not enabled for models/%s", t.model.ID)
	case config.MaxOutputTokens < 0 || config.MaxOutputTokens > outputTokensMax:
		return invalid("* GenerateContentRequest.generation_config.max_output_tokens: max_output_tokens must be in the range [1, %d].\n", outputTokensMax)
	case config.ResponseSchema != nil && config.ResponseJSONSchema != nil:
		return invalid("Only one of response_schema and response_json_schema may be set.")
	case config.ResponseSchema == nil && config.ResponseJSONSchema == nil:
		return nil
	case !t.json:
		return invalid("* GenerateContentRequest.generation_config.response_schema: only allowed when response_mime_type is %q.\n", jsonType)
	}
	if t.schema = schemaOf(config.ResponseSchema, config.ResponseJSONSchema); t.schema == nil {
		return invalid("* GenerateContentRequest.generation_config.response_schema: schema is not an object with a type.\n")
	}
	return nil
}

func (t *task) readModalities(asked []string) *refusal {
	if len(asked) == 0 && t.model.Text != nil {
		asked = []string{"TEXT"}
	}
	if len(asked) == 0 {
		asked = []string{"TEXT", "IMAGE"}
	}
	if t.model.Text != nil && slices.Contains(asked, "IMAGE") {
		return invalid("The requested combination of response modalities (%s) is not supported by the model.", strings.Join(asked, ", "))
	}
	for _, modality := range asked {
		switch modality {
		case "TEXT":
			t.text = true
		case "IMAGE":
			t.image = true
		default:
			return invalid("The requested combination of response modalities (%.40s) is not supported by the model.", modality)
		}
	}
	return nil
}

func (t *task) readContents(r generateRequest) *refusal {
	if len(r.Contents) == 0 {
		return invalid("* GenerateContentRequest.contents: contents is not specified\n")
	}
	var text strings.Builder
	for _, c := range r.Contents {
		if c.Role != "" && c.Role != "user" && c.Role != "model" {
			return invalid("Please use a valid role: user, model.")
		}
		for _, part := range c.Parts {
			text.WriteString(part.Text)
			if part.InlineData == nil {
				continue
			}
			data, refused := inline(part.InlineData.MIMEType, part.InlineData.Data)
			if refused != nil {
				return refused
			}
			t.references = append(t.references, data)
		}
	}
	t.prompt = text.String()
	if r.SystemInstruction != nil {
		for _, part := range r.SystemInstruction.Parts {
			t.system += part.Text
		}
	}
	switch {
	case strings.TrimSpace(t.prompt) == "" && len(t.references) == 0:
		return invalid("* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n")
	case len(t.references) > t.model.ReferencesMax:
		return invalid("Too many images: %d, at most %d for models/%s.", len(t.references), t.model.ReferencesMax, t.model.ID)
	case t.promptTokens() > promptTokensMax:
		return invalid("The input token count (%d) exceeds the maximum number of tokens allowed (%d).", t.promptTokens(), promptTokensMax)
	}
	return nil
}

var inputTypes = []string{"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}

func inline(mimeType, encoded string) ([]byte, *refusal) {
	if !slices.Contains(inputTypes, mimeType) {
		return nil, invalid("Unsupported MIME type: %.40s", mimeType)
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return nil, invalid("Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES), Base64 decoding failed")
	case len(data) == 0:
		return nil, invalid("Unable to process input image. Please retry or report.")
	case len(data) > inlineBytesMax:
		return nil, invalid("Inline data of %d bytes is over the limit of %d.", len(data), inlineBytesMax)
	}
	if mimeType == "image/heic" || mimeType == "image/heif" {
		return data, nil
	}
	if _, err := picture.DecodeConfig(data); err != nil {
		return nil, invalid("Unable to process input image. Please retry or report.")
	}
	return data, nil
}

// tokensPerReference is what an input picture counts.
const tokensPerReference = 258

func (t *task) promptTokens() int { return t.textTokens() + tokensPerReference*len(t.references) }

// textTokens counts four bytes a token, as the vendor's guide does.
func (t *task) textTokens() int { return (len(t.prompt) + 3) / 4 }

func (t *task) hash() string {
	h := sha256.New()
	h.Write([]byte(t.prompt))
	for _, r := range t.references {
		h.Write(r)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
