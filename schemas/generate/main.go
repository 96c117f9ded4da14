// Command generate writes what follows from the .avsc files: the Go types
// (records_gen.go) and the lock of released schemas (registry.lock.json).
//
// It never changes a line of the lock that is there: a schema that differs from
// its newest released version becomes the next version, with the next free id.
// Whether that is allowed, a test of package schemas decides. Run it by
// `make generate` from the root of the repository.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

func main() {
	if err := run("schemas"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "avsc", "*", "*.avsc"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no schemas under %s/avsc (run it from the root of the repository)", dir)
	}
	slices.Sort(files)
	types := typeSet{byName: map[string]goType{}}
	lock, err := readLock(filepath.Join(dir, "registry.lock.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var schema avroType
		if err := json.Unmarshal(raw, &schema); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		group := filepath.Base(filepath.Dir(file))
		if err := types.addRoot(group, schema); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := lock.add("atelier."+group, schema.fullName(), raw); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if err := types.write(filepath.Join(dir, "records_gen.go")); err != nil {
		return err
	}
	return lock.write()
}

// avroType is a schema as JSON has it: a name, a union or an object.
type avroType struct {
	Name      string      `json:"name"`
	Namespace string      `json:"namespace"`
	Doc       string      `json:"doc"`
	Type      string      `json:"type"`
	Logical   string      `json:"logicalType"`
	Fields    []avroField `json:"fields"`
	Items     *avroType   `json:"items"`
	Values    *avroType   `json:"values"`
	Size      int         `json:"size"`
	union     []avroType
}

type avroField struct {
	Name string   `json:"name"`
	Doc  string   `json:"doc"`
	Type avroType `json:"type"`
	PII  bool     `json:"pii"`
}

func (t *avroType) UnmarshalJSON(raw []byte) error {
	switch raw[0] {
	case '"':
		return json.Unmarshal(raw, &t.Type)
	case '[':
		t.Type = "union"
		return json.Unmarshal(raw, &t.union)
	}
	type plain avroType
	return json.Unmarshal(raw, (*plain)(t))
}

func (t *avroType) fullName() string { return t.Namespace + "." + t.Name }

// goType is a struct to be written.
type goType struct {
	Name, Doc, FullName, Group string
	Metadata                   string // embedded struct; empty for nested records
	Fields                     []goField
}

type goField struct{ Name, Type, Avro, Doc string }

type typeSet struct {
	byName map[string]goType
	order  []string
}

// metadataOf is the embedded struct that carries a group's first fields.
var metadataOf = map[string]string{
	"commands": "CommandMetadata", "events": "EventMetadata", "progress": "Metadata",
}

// metadataEnd is the last field of each metadata.
var metadataEnd = map[string]string{"commands": "request_hash", "events": "count", "progress": "actor"}

func (s *typeSet) addRoot(group string, schema avroType) error {
	fields := schema.Fields
	root := goType{Name: schema.Name, Doc: schema.Doc, FullName: schema.fullName(), Group: group}
	if embedded, ok := metadataOf[group]; ok {
		end := slices.IndexFunc(fields, func(f avroField) bool { return f.Name == metadataEnd[group] })
		if end < 0 {
			return fmt.Errorf("does not begin with the metadata of %s", group)
		}
		if err := s.add(goType{Name: embedded, Doc: "what every record of atelier." + group + " begins with.",
			Group: "metadata"}, fields[:end+1]); err != nil {
			return err
		}
		root.Metadata, fields = embedded, fields[end+1:]
	}
	return s.add(root, fields)
}

// add refuses two different shapes under one name: the metadata and the nested
// records are repeated in many files and must stay the same in all of them.
func (s *typeSet) add(t goType, fields []avroField) error {
	for _, f := range fields {
		typ, err := s.goType(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name, f.Name, err)
		}
		if f.Doc == "" {
			return fmt.Errorf("%s.%s has no doc", t.Name, f.Name)
		}
		t.Fields = append(t.Fields, goField{Name: goName(f.Name), Type: typ, Avro: f.Name, Doc: f.Doc})
	}
	if old, ok := s.byName[t.Name]; ok {
		if t.Group != "metadata" && !sameFields(old, t) {
			return fmt.Errorf("%s has two shapes", t.Name)
		}
		return nil
	}
	s.byName[t.Name] = t
	s.order = append(s.order, t.Name)
	return nil
}

func sameFields(a, b goType) bool {
	return a.FullName == b.FullName && slices.Equal(a.Fields, b.Fields)
}

var primitives = map[string]string{
	"string": "string", "bytes": "[]byte", "int": "int", "long": "int64",
	"boolean": "bool", "double": "float64",
}

func (s *typeSet) goType(t avroType) (string, error) {
	switch {
	case t.Logical == "timestamp-micros":
		return "time.Time", nil
	case t.Logical != "":
		return "", fmt.Errorf("logical type %s", t.Logical)
	case primitives[t.Type] != "":
		return primitives[t.Type], nil
	}
	switch t.Type {
	case "fixed":
		return fmt.Sprintf("[%d]byte", t.Size), nil
	case "array":
		item, err := s.goType(*t.Items)
		return "[]" + item, err
	case "map":
		value, err := s.goType(*t.Values)
		return "map[string]" + value, err
	case "union":
		if len(t.union) != 2 || t.union[0].Type != "null" {
			return "", fmt.Errorf("a union is [null, type]")
		}
		item, err := s.goType(t.union[1])
		return "*" + item, err
	case "record":
		name := nestedName(t.fullName())
		return name, s.add(goType{Name: name, Doc: t.Doc, FullName: t.fullName(), Group: "nested"}, t.Fields)
	}
	if strings.Contains(t.Type, ".") { // named before in the same file
		if strings.HasSuffix(t.Type, ".ID") || strings.HasSuffix(t.Type, ".Hash") {
			return "[16]byte", nil
		}
		return nestedName(t.Type), nil
	}
	return "", fmt.Errorf("type %q", t.Type)
}

// nestedName keeps the account's parts apart from the events' own: AccountBlock.
func nestedName(full string) string {
	name := full[strings.LastIndex(full, ".")+1:]
	if strings.HasPrefix(full, "atelier.accounts.") {
		return "Account" + name
	}
	return name
}

var initialisms = map[string]string{"id": "ID", "sha256": "SHA256", "ms": "Ms", "mime": "MIME"}

func goName(snake string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(snake, "_") {
		if s, ok := initialisms[word]; ok {
			b.WriteString(s)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func (s *typeSet) write(file string) error {
	var types []goType
	for _, name := range s.order {
		types = append(types, s.byName[name])
	}
	rank := map[string]int{"metadata": 0, "nested": 1, "accounts": 2, "commands": 3, "events": 4, "progress": 5}
	slices.SortStableFunc(types, func(a, b goType) int {
		if r := rank[a.Group] - rank[b.Group]; r != 0 {
			return r
		}
		return strings.Compare(a.Name, b.Name)
	})
	var out bytes.Buffer
	if err := source.Execute(&out, types); err != nil {
		return err
	}
	code, err := format.Source(out.Bytes())
	if err != nil {
		return fmt.Errorf("format: %w", err)
	}
	return os.WriteFile(file, code, 0o644)
}

var source = template.Must(template.New("records").Parse(`// Code generated by schemas/generate from schemas/avsc. DO NOT EDIT.

package schemas

import "time"
{{range .}}
// {{.Name}}: {{.Doc}}
type {{.Name}} struct {
{{- if .Metadata}}
	{{.Metadata}}
{{end}}
{{- range .Fields}}
	// {{.Doc}}
	{{.Name}} {{.Type}} ` + "`avro:\"{{.Avro}}\" json:\"{{.Avro}}\"`" + `
{{- end}}
}
{{if and .FullName (ne .Group "nested")}}
// SchemaName implements Record.
func (*{{.Name}}) SchemaName() string { return "{{.FullName}}" }
{{end}}
{{- end}}
// factories make an empty record by its full name.
var factories = map[string]func() Record{
{{- range .}}{{if and .FullName (ne .Group "nested")}}
	"{{.FullName}}": func() Record { return new({{.Name}}) },
{{- end}}{{end}}
}
`))
