// Package gemini calls Gemini's models: those that draw, and one that judges what
// was drawn. It is the only user of the vendor's SDK and closes what is open in it: no retries and no continuations of its own
// (either could bill twice), no shared configuration, bounded answers, panics
// recovered, and errors that are data and never hold a key, a prompt or a body.
package gemini

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"google.golang.org/genai"
)

const (
	// timeoutDefault bounds a call. The slowest model takes up to 140 s; a call
	// that is given up may be billed all the same, so patience is cheaper.
	timeoutDefault = 5 * time.Minute
	// timeoutMax is what the API itself ever takes.
	timeoutMax = 30 * time.Minute
	// referenceBytesMax bounds a reference picture, as the API does (7 MB).
	referenceBytesMax = 7_000_000
	// promptBytesMax bounds prompt and system text together: some 64,000 tokens.
	promptBytesMax = 256 << 10
	geminiURL      = "https://generativelanguage.googleapis.com/"
)

// Config says how the API is reached. The zero value is not usable.
type Config struct {
	// APIKey is needed unless Vertex names a project.
	APIKey string
	// BaseURL replaces the vendor's address, with any path prefix. The
	// environment has no say in it.
	BaseURL string
	// Vertex is for Google Cloud, empty for the Gemini API.
	Vertex Vertex
	// Timeout bounds one call; 0 means 5 minutes.
	Timeout time.Duration
	// HTTPClient replaces the client of our own. For Vertex without a key it
	// brings its own credentials; where it is nil, the default ones are used.
	HTTPClient *http.Client
	// Breaker says when calls to a model stop that fails.
	Breaker BreakerConfig
	// Log is told once when that happens, as an error where a person must act.
	Log zerolog.Logger
	// Registerer takes the breaker's metrics, once; nil for nobody.
	Registerer prometheus.Registerer
	// Now replaces the clock by which quotas come back, nil for the wall clock.
	Now func() time.Time
}

// Vertex is where Google Cloud runs the models.
type Vertex struct{ Project, Location string }

func (c Config) validate() error {
	vertex := c.Vertex != Vertex{}
	switch {
	case vertex && (c.Vertex.Project == "" || c.Vertex.Location == ""):
		return errors.New("vertex needs a project and a location")
	case vertex && c.APIKey != "":
		return errors.New("vertex with a project takes no API key")
	case !vertex && c.APIKey == "":
		return errors.New("no API key")
	case c.Timeout < 0 || c.Timeout > timeoutMax:
		return fmt.Errorf("timeout %v, want 0 to %v", c.Timeout, timeoutMax)
	case c.Breaker.Failures < 0 || c.Breaker.Wait < 0 || c.Breaker.WaitMax < 0:
		return errors.New("breaker with less than nothing")
	}
	if c.BaseURL == "" {
		return nil
	}
	u, err := url.Parse(c.BaseURL)
	// What does not parse is not shown: somebody may have put a key into it.
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return errors.New("base URL is not http(s)://host[:port][/prefix]")
	}
	return nil
}

// Client calls the models. It is safe for concurrent use.
type Client struct {
	models  *genai.Models
	key     string
	timeout time.Duration
	now     func() time.Time
	breaker *breaker
}

// New returns a client. It calls nothing. Errors never hold the configuration:
// those of the SDK print all of it, the key included.
func New(ctx context.Context, config Config) (*Client, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("gemini configuration: %w", err)
	}
	c := &Client{key: config.APIKey, timeout: config.Timeout, now: config.Now}
	if c.timeout == 0 {
		c.timeout = timeoutDefault
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.breaker = newBreaker(config, c.now)
	sdk, err := sdkConfig(config)
	if err != nil {
		return nil, err
	}
	client, err := genai.NewClient(ctx, sdk)
	if err != nil {
		return nil, errors.New("gemini configuration: refused by the SDK")
	}
	c.models = client.Models
	return c, nil
}

func sdkConfig(config Config) (*genai.ClientConfig, error) {
	sdk := &genai.ClientConfig{
		APIKey: config.APIKey, Backend: genai.BackendGeminiAPI,
		HTTPOptions: genai.HTTPOptions{BaseURL: config.BaseURL},
		HTTPClient:  config.httpClient(),
	}
	if config.BaseURL == "" {
		sdk.HTTPOptions.BaseURL = geminiURL
	}
	if config.Vertex == (Vertex{}) {
		return sdk, nil
	}
	sdk.Backend, sdk.Project, sdk.Location = genai.BackendVertexAI, config.Vertex.Project, config.Vertex.Location
	if config.BaseURL == "" {
		sdk.HTTPOptions.BaseURL = vertexURL(config.Vertex.Location)
	}
	if config.HTTPClient == nil {
		if err := sdk.UseDefaultCredentials(); err != nil {
			return nil, errors.New("gemini configuration: no default Google credentials found")
		}
	}
	return sdk, nil
}

// vertexURL is the address of a location, as the SDK would choose it without
// looking into the environment.
func vertexURL(location string) string {
	switch location {
	case "global":
		return "https://aiplatform.googleapis.com/"
	case "us", "eu":
		return "https://aiplatform." + location + ".rep.googleapis.com/"
	default:
		return "https://" + location + "-aiplatform.googleapis.com/"
	}
}

// httpClient is a client whose transport observes and bounds. It has no timeout
// of its own: the call's context has.
func (c Config) httpClient() *http.Client {
	if c.HTTPClient != nil {
		own := *c.HTTPClient
		next := own.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		own.Transport, own.CheckRedirect = observer{next}, noRedirects
		return &own
	}
	return &http.Client{CheckRedirect: noRedirects, Transport: observer{&http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        idleConnectionsMax,
		MaxIdleConnsPerHost: idleConnectionsMax,
		IdleConnTimeout:     idleTimeout,
	}}}
}

// ImageRequest asks for one picture.
type ImageRequest struct {
	Model string
	// Prompt is the task, System the rules above it.
	Prompt, System string
	// AspectRatio and Size are of the model's table, such as 4:5 and 1K.
	AspectRatio, Size string
	Seed              int32
	// References go with the prompt in their order: PNG, JPEG or WebP of at most
	// 7 MB each.
	References []Reference
	// ImageOnly forbids an answer in words: for the call after CodeNoImage.
	ImageOnly bool
}

// Reference is a picture that goes with a prompt.
type Reference struct {
	MIMEType string
	Data     []byte
}

// ImageResult is a picture and what it took.
type ImageResult struct {
	Bytes []byte
	// MIMEType is read from the bytes, whatever the answer called them.
	MIMEType      string
	Width, Height int
	// Model is the one that was asked, ModelVersion the one that answered.
	Model, ModelVersion, ResponseID string
	Usage                           Usage
	// CostMicros is what it cost at most, millionths of a US dollar.
	CostMicros int64
}

// Usage counts tokens as the API reports them. The parts do not always add up
// to TotalTokens.
type Usage struct{ PromptTokens, OutputTokens, ThoughtTokens, TotalTokens int64 }

func (r ImageRequest) validate(m Model, known bool) error {
	switch _, _, drawn := m.Pixels(r.AspectRatio, r.Size); {
	case !known:
		return errors.New("model is not in the table")
	case !drawn:
		return fmt.Errorf("model draws no %.8q at %.8q", r.AspectRatio, r.Size)
	}
	return validateInput(m, r.Prompt, r.System, r.References)
}

// validateInput checks what any model is given.
func validateInput(m Model, prompt, system string, pictures []Reference) error {
	switch {
	case strings.TrimSpace(prompt) == "":
		return errors.New("empty prompt")
	case len(prompt)+len(system) > promptBytesMax:
		return fmt.Errorf("prompt has %d bytes, at most %d", len(prompt)+len(system), promptBytesMax)
	case len(pictures) > m.ReferencesMax:
		return fmt.Errorf("%d pictures, at most %d", len(pictures), m.ReferencesMax)
	}
	for i, p := range pictures {
		switch p.MIMEType {
		case "image/png", "image/jpeg", "image/webp":
		default:
			return fmt.Errorf("picture %d is %.40q, want image/png, image/jpeg or image/webp", i, p.MIMEType)
		}
		if len(p.Data) == 0 || len(p.Data) > referenceBytesMax {
			return fmt.Errorf("picture %d has %d bytes, want 1 to %d", i, len(p.Data), referenceBytesMax)
		}
	}
	return nil
}

// GenerateImage makes one call and returns its picture. Every error is an
// *Error. It never calls twice; who wants another picture asks again.
func (c *Client) GenerateImage(ctx context.Context, request ImageRequest) (ImageResult, error) {
	model, known := ModelByID(request.Model)
	if err := request.validate(model, known); err != nil {
		refused := newError(CodeBadRequest, err.Error())
		refused.Model = request.Model
		return ImageResult{}, refused
	}
	made := call{
		model: request.Model, contents: contents(request.Prompt, request.References), options: request.options(),
		bytesMax: imageAnswerBytesMax, mostMicros: model.PriceMicros(request.Size), private: []string{request.Prompt, request.System},
	}
	var result ImageResult
	failed := c.do(ctx, made, func(response *genai.GenerateContentResponse) (failed *Error) {
		result, failed = read(response, request, model)
		return failed
	})
	if failed != nil {
		return ImageResult{}, failed
	}
	return result, nil
}

// call is one request to a model, and what an error of it needs to know.
type call struct {
	model    string
	contents []*genai.Content
	options  *genai.GenerateContentConfig
	// bytesMax bounds the answer's body.
	bytesMax int64
	// mostMicros is what the call costs at most, millionths of a US dollar.
	mostMicros int64
	// private are the texts that no error may repeat.
	private []string
}

// do makes a call, once and within the client's time, unless the model's breaker
// is open. read takes the answer, which may be nil, and says what is wrong with it.
func (c *Client) do(ctx context.Context, made call, read func(*genai.GenerateContentResponse) *Error) (failed *Error) {
	t, held := c.breaker.enter(made.model)
	if held != nil {
		return held
	}
	defer func() { c.breaker.leave(t, failed) }()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	seen := &facts{bytesMax: made.bytesMax}
	response, err := c.send(withFacts(ctx, seen), made)
	if err != nil {
		return c.classify(ctx, err, seen, made)
	}
	if failed = read(response); failed != nil {
		failed.HTTPStatus = int(seen.status.Load())
	}
	return failed
}

// errPanicked is a panic of the SDK: candidates:[null] causes one in v1.77.0.
var errPanicked = errors.New("sdk panicked")

func (c *Client) send(ctx context.Context, made call) (response *genai.GenerateContentResponse, err error) {
	defer func() {
		if recover() != nil {
			response, err = nil, errPanicked
		}
	}()
	return c.models.GenerateContent(ctx, made.model, made.contents, made.options)
}

func contents(prompt string, pictures []Reference) []*genai.Content {
	parts := []*genai.Part{genai.NewPartFromText(prompt)}
	for _, p := range pictures {
		parts = append(parts, genai.NewPartFromBytes(p.Data, p.MIMEType))
	}
	return []*genai.Content{genai.NewContentFromParts(parts, genai.RoleUser)}
}

// options is made anew for each call, because the SDK changes what it is given.
func (r ImageRequest) options() *genai.GenerateContentConfig {
	modalities := []string{"TEXT", "IMAGE"}
	if r.ImageOnly {
		modalities = []string{"IMAGE"}
	}
	config := &genai.GenerateContentConfig{
		CandidateCount:     1,
		ResponseModalities: modalities,
		Seed:               genai.Ptr(r.Seed),
		ImageConfig:        &genai.ImageConfig{AspectRatio: r.AspectRatio, ImageSize: r.Size},
		// Left alone, the SDK would go on calling for as long as answers carry a
		// continuation token.
		AutomaticContinuation: genai.Ptr(false),
	}
	if r.System != "" {
		config.SystemInstruction = genai.NewContentFromText(r.System, genai.RoleUser)
	}
	return config
}
