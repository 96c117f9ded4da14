package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

var (
	//go:embed docs.css
	docsStyle string
	//go:embed docs.html
	docsPage string

	docsTemplate = template.Must(template.New("docs").Funcs(template.FuncMap{"markdown": markdown}).Parse(docsPage))
	// docsStyleHash lets the page's own style in, and no other (CSP level 2).
	docsStyleHash = func() string {
		sum := sha256.Sum256([]byte(docsStyle))
		return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	}()
)

type docsTag struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description, Body string
	Parameters                                   []docsParameter
	Responses                                    []docsResponse
}

type docsParameter struct{ Name, In, Description string }

type docsResponse struct{ Status, Description, Schema string }

type docsSchema struct {
	Name, Description string
	Fields            []docsField
}

type docsField struct {
	Name, Type, Description string
	Required                bool
}

type docsCode struct {
	Code, Title string
	Status      int
}

var docsMarkdown = goldmark.New(goldmark.WithExtensions(extension.Table))

// markdown renders a text of the contract. Raw HTML in it is left out.
func markdown(text string) (template.HTML, error) {
	var html bytes.Buffer
	if err := docsMarkdown.Convert([]byte(text), &html); err != nil {
		return "", err
	}
	return template.HTML(html.String()), nil
}

// page is the contract as one page of HTML that needs nothing else.
func (k *contract) page() ([]byte, error) {
	var page bytes.Buffer
	err := docsTemplate.Execute(&page, map[string]any{
		"Title": k.spec.Info.Title, "Description": k.spec.Info.Description, "Style": template.CSS(docsStyle),
		"Tags": k.docsTags(), "Schemas": k.docsSchemas(), "Codes": docsCodes(),
	})
	if err != nil {
		return nil, fmt.Errorf("documentation page: %w", err)
	}
	return page.Bytes(), nil
}

func (k *contract) docsTags() []docsTag {
	var tags []docsTag
	for _, tag := range k.spec.Tags {
		shown := docsTag{Name: tag.Name, Description: tag.Description}
		for _, path := range k.spec.Paths.InMatchingOrder() {
			item := k.spec.Paths.Value(path)
			for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
				if o := item.Operations()[method]; slices.Contains(o.Tags, tag.Name) {
					shown.Operations = append(shown.Operations, docsOperationOf(method, path, item, o))
				}
			}
		}
		slices.SortFunc(shown.Operations, func(a, b docsOperation) int {
			return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
		})
		tags = append(tags, shown)
	}
	return tags
}

func docsOperationOf(method, path string, item *openapi3.PathItem, o *openapi3.Operation) docsOperation {
	shown := docsOperation{ID: o.OperationID, Method: method, Path: path, Summary: o.Summary, Description: o.Description}
	for _, p := range slices.Concat(item.Parameters, o.Parameters) {
		shown.Parameters = append(shown.Parameters, docsParameter{Name: p.Value.Name, In: p.Value.In, Description: p.Value.Description})
	}
	if o.RequestBody != nil {
		shown.Body = docsContent(o.RequestBody.Value.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses.Map())) {
		r := o.Responses.Value(status).Value
		shown.Responses = append(shown.Responses, docsResponse{Status: status, Description: *r.Description, Schema: docsContent(r.Content)})
	}
	return shown
}

// docsContent is the name of the schema of a body, empty where it has none.
func docsContent(content openapi3.Content) string {
	for _, media := range content {
		if media.Schema != nil {
			return docsRef(media.Schema.Ref)
		}
	}
	return ""
}

func docsRef(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

func (k *contract) docsSchemas() []docsSchema {
	var all []docsSchema
	for _, name := range slices.Sorted(maps.Keys(k.spec.Components.Schemas)) {
		schema := k.spec.Components.Schemas[name].Value
		shown := docsSchema{Name: name, Description: schema.Description}
		for _, part := range append([]*openapi3.Schema{schema}, docsParts(schema)...) {
			for _, field := range slices.Sorted(maps.Keys(part.Properties)) {
				p := part.Properties[field]
				shown.Fields = append(shown.Fields, docsField{
					Name: field, Type: docsType(p), Description: p.Value.Description, Required: slices.Contains(part.Required, field),
				})
			}
		}
		all = append(all, shown)
	}
	return all
}

func docsParts(schema *openapi3.Schema) (parts []*openapi3.Schema) {
	for _, part := range schema.AllOf {
		parts = append(parts, part.Value)
	}
	return parts
}

func docsType(ref *openapi3.SchemaRef) string {
	if ref.Ref != "" {
		return docsRef(ref.Ref)
	}
	schema := ref.Value
	text := strings.Join(schema.Type.Slice(), " or ")
	switch {
	case len(schema.AllOf) == 1:
		text = docsType(schema.AllOf[0])
	case schema.Type.Is(openapi3.TypeArray):
		text = "list of " + docsType(schema.Items)
	case schema.Format != "":
		text += " (" + schema.Format + ")"
	}
	if schema.Nullable {
		text += " or null"
	}
	return text
}

func docsCodes() []docsCode {
	var codes []docsCode
	for code, kind := range kinds {
		codes = append(codes, docsCode{Code: code, Title: kind.title, Status: kind.status})
	}
	slices.SortFunc(codes, func(a, b docsCode) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), strings.Compare(a.Code, b.Code))
	})
	return codes
}
