package schemas

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func compactJSON(into *bytes.Buffer, raw []byte) error { return json.Compact(into, raw) }

func TestNoReleasedVersionBreaksAnother(t *testing.T) {
	require.NoError(t, CheckCompatibility(Lock()))
}

func TestABreakingChangeIsRefused(t *testing.T) {
	const subject = "atelier.events-atelier.events.v1.BrandArchived"
	const command = "atelier.commands-atelier.commands.v1.ArchiveBrand"
	defaulted := `,{"name":"why","type":"string","doc":"Why.","default":""}]`
	bare := `,{"name":"why","type":"string","doc":"Why."}]`
	tests := map[string]struct {
		subject, old, new string
		refused           bool
	}{
		"an event's field with a default":            {subject, "]", defaulted, false},
		"an event's field without one":               {subject, "]", bare, true},
		"a removed field of an event":                {subject, `,{"name":"version","type":"int","doc":"The kit's version."}`, "", true},
		"another type":                               {subject, `"name":"version","type":"int"`, `"name":"version","type":"string"`, true},
		"a wider type, which old consumers misread":  {subject, `"name":"version","type":"int"`, `"name":"version","type":"long"`, true},
		"a command's field without a default":        {command, "]", bare, true},
		"a removed field of a command, never needed": {command, `,{"name":"brand_id","type":"string","doc":"The brand (UUID)."}`, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			old := released(t, tt.subject)
			text := string(old.Schema)
			at := strings.LastIndex(text, tt.old)
			require.Positive(t, at, "the schema has no %s", tt.old)
			next := old
			next.Version++
			next.Schema = json.RawMessage(text[:at] + tt.new + text[at+len(tt.old):])
			require.True(t, json.Valid(next.Schema))
			err := CheckCompatibility([]Released{old, next})
			if tt.refused {
				require.ErrorContains(t, err, tt.subject)
				return
			}
			require.NoError(t, err)
		})
	}
}

func released(t *testing.T, subject string) Released {
	t.Helper()
	for _, r := range Newest() {
		if r.Subject == subject {
			return r
		}
	}
	t.Fatalf("%s was never released", subject)
	return Released{}
}
