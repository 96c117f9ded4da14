package migrations

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// schemaPlace stands for the schema of the tables in a read model's DDL; that of
// its views is the same name with _api.
const schemaPlace = "{{schema}}"

// schemaName is what a read model's schema may be called. It is put into the
// DDL as it is, so nothing in it may need quoting.
var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,50}$`)

// ProjectionDDL returns version ddl of a read model's DDL (projections/<name>_v<ddl>.sql)
// for tables in schema and views in <schema>_api, so that a second one can be
// filled beside the live one.
func ProjectionDDL(name string, ddl int, schema string) (string, error) {
	if !schemaName.MatchString(schema) {
		return "", fmt.Errorf("schema name %q: lower case letters, digits and _ only, at most 51", schema)
	}
	text, err := files.ReadFile(fmt.Sprintf("projections/%s_v%d.sql", name, ddl))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("this build has no version %d of the tables of %s", ddl, name)
	}
	if err != nil {
		return "", err
	}
	return strings.ReplaceAll(string(text), schemaPlace, schema), nil
}
