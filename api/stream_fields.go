package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"atelier/schemas"
)

// streamFields is what a client's stream shows of each event, by the fields' Avro
// names; a dotted name is a field of a nested record and is shown under its last
// part. It is an allowlist: a field that is not named here never leaves. Sealed
// text, request hashes, attempts, prompts and what things cost upstream must not
// be named (a test walks the schemas). An event without fields is not streamed.
var streamFields = []streamedEvent{
	{&schemas.AccountOpened{}, []string{"email_confirmed"}},
	{&schemas.AssetAdded{}, []string{"asset_id", "brand_id", "kind", "media.width", "media.height", "media.bytes", "media.mime_type"}},
	{&schemas.AssetRemoved{}, []string{"asset_id"}},
	{&schemas.BatchRequested{}, []string{"batch_id", "brand_id", "brand_version", "workflow", "tier", "images", "per_image", "price_list", "placement_table", "deadline"}},
	{&schemas.BrandArchived{}, []string{"brand_id", "version"}},
	{&schemas.BrandRestored{}, []string{"brand_id", "version"}},
	{&schemas.BrandSaved{}, []string{"brand_id", "version", "kit_schema"}},
	{&schemas.CommandRejected{}, []string{"command", "code", "detail", "first_command_id", "figures"}},
	{&schemas.CreditsCaptured{}, []string{"batch_id", "generation_id", "credits", "available_after", "held_after"}},
	{&schemas.CreditsExpired{}, []string{"credits", "available_after", "held_after"}},
	{&schemas.CreditsGranted{}, []string{"block_id", "credits", "source", "expires_at", "reason", "available_after", "held_after"}},
	{&schemas.CreditsReleased{}, []string{"batch_id", "generation_id", "credits", "available_after", "held_after"}},
	{&schemas.CreditsReserved{}, []string{"batch_id", "credits", "per_image", "price_list", "available_after", "held_after"}},
	{&schemas.GenerationCanceled{}, []string{"batch_id", "generation_id"}},
	{&schemas.GenerationFailed{}, []string{"batch_id", "generation_id", "reason", "fault", "detail"}},
	{&schemas.GenerationRequested{}, []string{"batch_id", "generation_id", "placement", "number", "deadline"}},
	{&schemas.GenerationSucceeded{}, []string{"batch_id", "generation_id", "media.width", "media.height", "media.bytes", "media.mime_type"}},
	{&schemas.ImageComposed{}, []string{"batch_id", "generation_id"}},
	{&schemas.ImageDeleted{}, []string{"batch_id", "generation_id"}},
	{&schemas.ImageRated{}, []string{"batch_id", "generation_id", "favourite", "rating"}},
	{&schemas.ImageRestored{}, []string{"batch_id", "generation_id"}},
	{&schemas.ImagesExported{}, []string{"kind"}},
	{&schemas.SpendRecorded{}, nil},
}

type streamedEvent struct {
	event  schemas.Event
	fields []string
}

// streamMetadata is what is shown of every event's metadata: causation_id is the
// command, so that a client knows the answer to its own.
var streamMetadata = []string{"id", "occurred_at", "correlation_id", "causation_id"}

// progressFields is what is shown of a progress note.
var progressFields = []string{"batch_id", "generation_id", "stage", "attempt", "attempts_max", "reason", "occurred_at"}

// streamShapes are the allowlists as paths into the records, found once.
type streamShapes struct {
	events   map[string][]shownField
	progress []shownField
}

type shownField struct {
	key   string // as JSON, with its colon
	index []int
}

// newStreamShapes fails where a list names a field that the record does not have.
func newStreamShapes() (*streamShapes, error) {
	s := &streamShapes{events: map[string][]shownField{}}
	for _, e := range streamFields {
		if len(e.fields) == 0 {
			continue
		}
		shown, err := shape(e.event, append(slices.Clone(streamMetadata), e.fields...))
		if err != nil {
			return nil, err
		}
		s.events[schemas.ShortName(e.event)] = shown
	}
	var err error
	s.progress, err = shape(&schemas.GenerationProgress{}, progressFields)
	return s, err
}

func shape(record schemas.Record, names []string) ([]shownField, error) {
	var shown []shownField
	for _, name := range names {
		at := reflect.TypeOf(record).Elem()
		var index []int
		for part := range strings.SplitSeq(name, ".") {
			field, ok := fieldOf(at, part)
			if !ok {
				return nil, fmt.Errorf("stream: %s has no field %s", record.SchemaName(), name)
			}
			index, at = append(index, field.Index...), field.Type
		}
		key, err := json.Marshal(name[strings.LastIndexByte(name, '.')+1:])
		if err != nil {
			return nil, fmt.Errorf("stream: field %s: %w", name, err)
		}
		shown = append(shown, shownField{key: string(key) + ":", index: index})
	}
	return shown, nil
}

// fieldOf finds a field by its Avro name, the metadata's included.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	if t.Kind() != reflect.Struct {
		return reflect.StructField{}, false
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("avro") == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// appendShown appends the record's JSON on one line, with the shown fields alone.
func appendShown(b []byte, record schemas.Record, shown []shownField) ([]byte, error) {
	value := reflect.ValueOf(record).Elem()
	b = append(b, '{')
	for i, f := range shown {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f.key...)
		field, err := json.Marshal(value.FieldByIndex(f.index).Interface())
		if err != nil {
			return nil, fmt.Errorf("stream: %s: %w", record.SchemaName(), err)
		}
		b = append(b, field...)
	}
	return append(b, '}'), nil
}

// frame appends a delivery as one server-sent event, nothing where it is not
// shown. Only facts have an id: a client resumes from the last fact it saw.
func (s *streamShapes) frame(b []byte, d Delivery) ([]byte, error) {
	if d.Event == nil {
		b = append(b, "event: progress\ndata: "...)
		b, err := appendShown(b, d.Progress, s.progress)
		return append(b, "\n\n"...), err
	}
	shown := s.events[schemas.ShortName(d.Event)]
	if len(shown) == 0 {
		return b, nil
	}
	b = append(b, "event: "...)
	b = append(b, schemas.ShortName(d.Event)...)
	b = append(b, "\nid: "...)
	b = append(b, d.Position.String()...)
	b = append(b, "\ndata: "...)
	b, err := appendShown(b, d.Event, shown)
	return append(b, "\n\n"...), err
}
