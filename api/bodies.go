package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

const (
	// fieldProblemsMax bounds how many broken fields a problem lists (count).
	fieldProblemsMax = 20
	// jsonDepthMax bounds the nesting of a body; the deepest schema has five.
	jsonDepthMax = 16
	// jsonNamesMax bounds the names in a body (count): each that a schema does not
	// know costs some 7 KB. The largest kit has some 100.
	jsonNamesMax = 500
	// bodyBytesPerSecond is how fast a body has to come once readTimeout is over:
	// a file of 20 MB may take 330 s.
	bodyBytesPerSecond = 64 << 10
	// passOverTime and passOverBytesMax bound what is read of a body that is
	// refused by its length; a file that is somewhat too large passes whole.
	passOverTime     = time.Second
	passOverBytesMax = 2 * fileBytesMax
)

// contract is the OpenAPI file as a validator: what it says about parameters and
// bodies is enforced, so that nothing is accepted that it does not describe.
type contract struct {
	spec *openapi3.T
	json []byte
}

func loadContract() (*contract, error) {
	spec, err := GetSpec()
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	raw, err := spec.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return &contract{spec: spec, json: raw}, nil
}

// options of every validation. UUIDs are checked as what they are.
func schemaOptions() []openapi3.SchemaValidationOption {
	return []openapi3.SchemaValidationOption{
		openapi3.VisitAsRequest(), openapi3.MultiErrors(), openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidator("uuid", openapi3.NewCallbackValidator(isUUID)),
	}
}

func isUUID(text string) error {
	if len(text) != 36 {
		return errors.New("is no UUID")
	}
	if _, err := uuid.Parse(text); err != nil {
		return errors.New("is no UUID")
	}
	return nil
}

// operation returns what the file says about the route that was matched.
func (k *contract) operation(c *fiber.Ctx) (*openapi3.PathItem, *openapi3.Operation) {
	path := c.Route().Path
	if strings.Contains(path, "/:") {
		parts := strings.Split(path, "/")
		for i, part := range parts {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		path = strings.Join(parts, "/")
	}
	item := k.spec.Paths.Value(path)
	if item == nil {
		return nil, nil
	}
	method := c.Method()
	if method == fiber.MethodHead {
		method = fiber.MethodGet
	}
	return item, item.GetOperation(method)
}

// checkParameters enforces what the file says about query and headers: bounds,
// patterns and enumerations, which the generated binder does not look at.
func (k *contract) checkParameters(c *fiber.Ctx, next fiber.Handler) error {
	item, operation := k.operation(c)
	if operation == nil {
		return next(c)
	}
	broken := unknownParameters(c, item.Parameters, operation.Parameters)
	for _, list := range []openapi3.Parameters{item.Parameters, operation.Parameters} {
		for _, p := range list {
			broken = append(broken, checkParameter(c, p.Value)...)
		}
	}
	if len(broken) > 0 {
		return &refusal{code: codeMalformed, detail: broken[0].Pointer + ": " + broken[0].Detail, fields: broken}
	}
	return next(c)
}

// unknownParameters are those of the query that the call does not have: a filter
// that is misspelt must not show everything.
func unknownParameters(c *fiber.Ctx, lists ...openapi3.Parameters) (broken []FieldProblem) {
	for key := range c.Context().QueryArgs().All() {
		name := string(key)
		known := slices.ContainsFunc(lists, func(list openapi3.Parameters) bool {
			return list.GetByInAndName(openapi3.ParameterInQuery, name) != nil
		})
		if !known && len(broken) < fieldProblemsMax {
			broken = append(broken, FieldProblem{Pointer: strings.ToValidUTF8(name, "?"), Detail: "is no parameter of this call"})
		}
	}
	return broken
}

func checkParameter(c *fiber.Ctx, p *openapi3.Parameter) []FieldProblem {
	var text string
	switch p.In {
	case openapi3.ParameterInQuery:
		if !c.Context().QueryArgs().Has(p.Name) {
			return nil
		}
		text = c.Query(p.Name)
	case openapi3.ParameterInHeader:
		if text = c.Get(p.Name); text == "" {
			if len(c.Request().Header.PeekAll(p.Name)) == 0 {
				return nil
			}
		}
	default:
		return nil // the binder has checked paths
	}
	var value any = text
	if !p.Schema.Value.Type.Is(openapi3.TypeString) {
		// The binder has checked that it is a number, or a boolean.
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return []FieldProblem{{Pointer: p.Name, Detail: "has the wrong type"}}
		}
	}
	if !storable(text) {
		return []FieldProblem{{Pointer: p.Name, Detail: "is no valid text"}}
	}
	broken := fieldProblems(p.Schema.Value.VisitJSON(value, schemaOptions()...))
	for i := range broken {
		broken[i].Pointer = p.Name
	}
	return broken
}

// storable says whether every part can store a text: valid UTF-8 without NUL,
// which Postgres refuses, and which would stop a projection.
func storable(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

// readBody reads a request's body, at most bytesMax of it. Bodies come as streams:
// what Fiber offers would read them without a limit.
func readBody(c *fiber.Ctx, bytesMax int) ([]byte, error) {
	tooLarge := &refusal{code: codeBodyTooLarge, detail: fmt.Sprintf("at most %d bytes", bytesMax)}
	length := c.Context().Request.Header.ContentLength()
	if length > bytesMax {
		passOver(c)
		return nil, tooLarge
	}
	stream := bodyOf(c)
	if stream == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(stream, int64(bytesMax)+1))
	switch {
	case err != nil:
		return nil, unreadable(err)
	case len(body) > bytesMax:
		return nil, tooLarge
	}
	return body, nil
}

// pacedBody is a body that has to come in time: readTimeout, and a second more for
// each bodyBytesPerSecond that have come. Who sends a byte a second would hold
// what is counted, such as uploads, for long.
type pacedBody struct {
	stream  io.Reader
	conn    net.Conn
	until   time.Time // the deadline before the first byte
	length  int64     // bytes; -1 where it comes in chunks
	arrived int64     // bytes
}

// bodyOf is the body of a request; nil where it has none.
func bodyOf(c *fiber.Ctx) io.Reader {
	stream := c.Context().RequestBodyStream()
	if stream == nil {
		return nil
	}
	return &pacedBody{
		stream: stream, conn: c.Context().Conn(), until: time.Now().Add(c.App().Server().ReadTimeout),
		length: int64(c.Context().Request.Header.ContentLength()),
	}
}

// Read implements io.Reader. The server takes the end of a connection for that of
// the body; here it breaks off.
func (b *pacedBody) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(b.until.Add(time.Duration(b.arrived) * time.Second / bodyBytesPerSecond)); err != nil {
		return 0, err
	}
	n, err := b.stream.Read(p)
	b.arrived += int64(n)
	if errors.Is(err, io.EOF) && b.arrived < b.length {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// passOver reads some of a body that is refused by its length, for a short time:
// who still writes when the connection closes sees that, and not the answer.
func passOver(c *fiber.Ctx) {
	if err := c.Context().Conn().SetReadDeadline(time.Now().Add(passOverTime)); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Context().RequestBodyStream(), passOverBytesMax)
}

// unreadable is a body that broke off, or came too slowly.
func unreadable(err error) *refusal {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return &refusal{code: codeRequestTimeout, detail: "the body did not come in time", cause: err}
	}
	return &refusal{code: codeMalformed, detail: "the body breaks off", cause: err}
}

// decode reads a JSON body into out after it was checked against a schema of the
// file, and returns it in canonical form: keys sorted, no spaces.
func (s *Server) decode(c *fiber.Ctx, schema string, out any) (canonical []byte, err error) {
	kind, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	if err != nil || kind != fiber.MIMEApplicationJSON {
		return nil, refuse(codeMediaType, "send application/json")
	}
	body, err := readBody(c, bodyBytesMax)
	if err != nil {
		return nil, err
	}
	value, err := parseJSON(body)
	if err != nil {
		return nil, refuse(codeMalformed, "the body is no JSON: "+err.Error())
	}
	if broken := unstorable("", value); len(broken) > 0 {
		return nil, refuseFields(broken)
	}
	if broken := fieldProblems(s.contract.spec.Components.Schemas[schema].Value.VisitJSON(value, schemaOptions()...)); len(broken) > 0 {
		return nil, refuseFields(broken)
	}
	if canonical, err = canonicalJSON(value); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(canonical, out); err != nil {
		return nil, fmt.Errorf("decode %s that fits its schema: %w", schema, err)
	}
	return canonical, nil
}

// canonicalJSON is one text for equal values.
func canonicalJSON(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// parseJSON reads exactly one value. Numbers are float64, as the schemas compare.
func parseJSON(body []byte) (any, error) {
	if len(body) == 0 {
		return nil, errors.New("it is empty")
	}
	if !utf8.Valid(body) {
		return nil, errors.New("it is no UTF-8")
	}
	if err := checkDepth(body); err != nil {
		return nil, err
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&value); err != nil {
		return nil, errors.New("it breaks the grammar")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one value")
	}
	left := jsonNamesMax
	return value, checkNames(json.NewDecoder(bytes.NewReader(body)), &left)
}

// checkNames refuses an object in which a name stands twice: which one counts is
// decided differently by different readers (RFC 8259, 4). It counts them too. The
// grammar is right.
func checkNames(d *json.Decoder, left *int) error {
	token, err := d.Token()
	if err != nil || token != json.Delim('{') && token != json.Delim('[') {
		return err
	}
	seen := map[json.Token]bool{}
	for d.More() {
		if token == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if seen[name] {
				return errors.New("a name stands there twice")
			}
			seen[name] = true
			if *left--; *left < 0 {
				return fmt.Errorf("it has more than %d names", jsonNamesMax)
			}
		}
		if err := checkNames(d, left); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// checkDepth bounds the nesting before anything is allocated for it.
func checkDepth(body []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > jsonDepthMax {
				return errors.New("it is nested too deeply")
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return nil
}

// unstorable finds text that Postgres would refuse.
func unstorable(pointer string, value any) (broken []FieldProblem) {
	switch v := value.(type) {
	case string:
		if !storable(v) {
			return []FieldProblem{{Pointer: pointer, Detail: "has a NUL character"}}
		}
	case []any:
		for i, item := range v {
			broken = append(broken, unstorable(fmt.Sprintf("%s/%d", pointer, i), item)...)
		}
	case map[string]any:
		for key, item := range v {
			if !storable(key) {
				return []FieldProblem{{Pointer: pointer, Detail: "has a NUL character in a name"}}
			}
			broken = append(broken, unstorable(pointer+"/"+escapePointer(key), item)...)
		}
	}
	return broken[:min(len(broken), fieldProblemsMax)]
}

func escapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// fieldProblems lists what a schema has against a value, by JSON pointer.
func fieldProblems(err error) (broken []FieldProblem) {
	switch e := err.(type) { //nolint:errorlint // a tree is walked here; nothing is wrapped
	case nil:
	case openapi3.MultiError:
		for _, inner := range e {
			broken = append(broken, fieldProblems(inner)...)
		}
	case *openapi3.SchemaError:
		var pointer strings.Builder
		for _, key := range e.JSONPointer() {
			pointer.WriteString("/" + escapePointer(key))
		}
		broken = []FieldProblem{{Pointer: pointer.String(), Detail: e.Reason}}
	default:
		broken = []FieldProblem{{Detail: "does not fit its schema"}}
	}
	return broken[:min(len(broken), fieldProblemsMax)]
}
