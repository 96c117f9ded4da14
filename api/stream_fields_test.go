package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/projections"
	"atelier/schemas"
)

// neverStreamed are fields, by their Avro names, that no client may see, wherever
// in a record they are.
var neverStreamed = []string{"request_hash", "idempotency_key", "cost_micros", "tokens", "attempts", "template", "params", "kit_hash", "email_hash", "key", "media_key", "thumbnail_key", "sha256", "actor"}

// sealedFields returns the paths that a schema marks as personal text.
func sealedFields(t *testing.T, prefix string, schema json.RawMessage, into map[string]bool) {
	t.Helper()
	var record struct {
		Fields []struct {
			Name string          `json:"name"`
			Type json.RawMessage `json:"type"`
			PII  bool            `json:"pii"`
		} `json:"fields"`
	}
	if json.Unmarshal(schema, &record) != nil {
		return // a plain type name, or a union
	}
	for _, f := range record.Fields {
		if f.PII {
			into[prefix+f.Name] = true
		}
		sealedFields(t, prefix+f.Name+".", f.Type, into)
	}
}

func TestStreamNamesEveryEventAndNothingPersonal(t *testing.T) {
	listed := map[string][]string{}
	for _, e := range streamFields {
		listed[schemas.ShortName(e.event)] = e.fields
	}
	events, sealed := 0, 0
	for _, r := range schemas.Newest() {
		if !strings.HasPrefix(r.Subject, schemas.TopicEvents+"-") {
			continue
		}
		events++
		name := r.Subject[strings.LastIndexByte(r.Subject, '.')+1:]
		fields, ok := listed[name]
		require.True(t, ok, "%s is not in streamFields: name what a stream may show of it", name)
		pii := map[string]bool{}
		sealedFields(t, "", r.Schema, pii)
		sealed += len(pii)
		for _, f := range append(append([]string{}, streamMetadata...), fields...) {
			require.False(t, pii[f], "%s.%s is personal text", name, f)
			for _, never := range neverStreamed {
				for part := range strings.SplitSeq(f, ".") {
					require.NotEqual(t, never, part, "%s.%s", name, f)
				}
			}
		}
	}
	require.Equal(t, events, len(streamFields))
	require.GreaterOrEqual(t, sealed, 7, "the lock marks personal text")
}

// fill sets every field of a record to a value that names it.
func fill(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("«" + path + "»")
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(len(path)))
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("«" + path + "»"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), path)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, path)
		fill(value, path)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("avro")
			if name == "" {
				name = path
			} else {
				name = strings.TrimPrefix(path+"."+name, ".")
			}
			fill(v.Field(i), name)
		}
	}
}

func TestStreamFramesShowTheListedFieldsAlone(t *testing.T) {
	shapes, err := newStreamShapes()
	require.NoError(t, err)
	at := projections.Position{Generation: 1, Partition: 2, Offset: 345}
	for _, listed := range streamFields {
		name := schemas.ShortName(listed.event)
		event := reflect.New(reflect.TypeOf(listed.event).Elem())
		fill(event.Elem(), "")
		frame, err := shapes.frame(nil, Delivery{Position: at, Event: event.Interface().(schemas.Event)})
		require.NoError(t, err)
		if len(listed.fields) == 0 {
			require.Empty(t, frame, name)
			continue
		}
		head := fmt.Sprintf("event: %s\nid: 1.2.345\ndata: ", name)
		require.True(t, strings.HasPrefix(string(frame), head), "%s", frame)
		data, ok := strings.CutSuffix(strings.TrimPrefix(string(frame), head), "\n\n")
		require.True(t, ok)
		require.NotContains(t, data, "\n")
		var shown map[string]any
		require.NoError(t, json.Unmarshal([]byte(data), &shown))
		require.Len(t, shown, len(streamMetadata)+len(listed.fields))
		for _, never := range neverStreamed {
			require.NotContains(t, data, "«"+never+"»", name)
			require.NotContains(t, shown, never, name)
		}
		for field := range map[string]bool{"kit": true, "brief": true, "feedback": true, "campaign": true, "email": true, "name": true, "tags": true, "layout": true} {
			require.NotContains(t, shown, field, name)
			require.NotContains(t, data, base64.StdEncoding.EncodeToString([]byte("«"+field+"»")), name)
		}
	}

	// What was not said of an image is null.
	loved := true
	frame, err := shapes.frame(nil, Delivery{Position: at, Event: &schemas.ImageRated{BatchID: "b", GenerationID: "g", Favourite: &loved}})
	require.NoError(t, err)
	require.Contains(t, string(frame), `"batch_id":"b","generation_id":"g","favourite":true,"rating":null}`)

	note := &schemas.GenerationProgress{}
	fill(reflect.ValueOf(note).Elem(), "")
	frame, err = shapes.frame(nil, Delivery{Progress: note})
	require.NoError(t, err)
	require.Equal(t, "event: progress\ndata: "+
		`{"batch_id":"«batch_id»","generation_id":"«generation_id»","stage":"«stage»","attempt":7,"attempts_max":12,"reason":"«reason»","occurred_at":"2023-11-14T22:13:20Z"}`+"\n\n", string(frame))
}
