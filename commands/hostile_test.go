package commands

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"atelier/schemas"
)

// everyCommand makes one of each command: TestVocabulary keeps it complete.
var everyCommand = []func() schemas.Command{
	func() schemas.Command { return new(schemas.AddAsset) },
	func() schemas.Command { return new(schemas.ArchiveBrand) },
	func() schemas.Command { return new(schemas.CancelGeneration) },
	func() schemas.Command { return new(schemas.ClaimWelcome) },
	func() schemas.Command { return new(schemas.CompleteGeneration) },
	func() schemas.Command { return new(schemas.ComposeImage) },
	func() schemas.Command { return new(schemas.DeleteImage) },
	func() schemas.Command { return new(schemas.ExpireCredits) },
	func() schemas.Command { return new(schemas.ExpireGeneration) },
	func() schemas.Command { return new(schemas.FailGeneration) },
	func() schemas.Command { return new(schemas.GrantCredits) },
	func() schemas.Command { return new(schemas.OpenAccount) },
	func() schemas.Command { return new(schemas.RateImage) },
	func() schemas.Command { return new(schemas.RecordExport) },
	func() schemas.Command { return new(schemas.RecordSpend) },
	func() schemas.Command { return new(schemas.RemoveAsset) },
	func() schemas.Command { return new(schemas.RequestGeneration) },
	func() schemas.Command { return new(schemas.RestoreBrand) },
	func() schemas.Command { return new(schemas.RestoreImage) },
	func() schemas.Command { return new(schemas.SaveBrand) },
}

// everyEvent makes one of each event.
var everyEvent = []func() schemas.Event{
	func() schemas.Event { return new(schemas.AccountOpened) },
	func() schemas.Event { return new(schemas.AssetAdded) },
	func() schemas.Event { return new(schemas.AssetRemoved) },
	func() schemas.Event { return new(schemas.BatchRequested) },
	func() schemas.Event { return new(schemas.BrandArchived) },
	func() schemas.Event { return new(schemas.BrandRestored) },
	func() schemas.Event { return new(schemas.BrandSaved) },
	func() schemas.Event { return new(schemas.CommandRejected) },
	func() schemas.Event { return new(schemas.CreditsCaptured) },
	func() schemas.Event { return new(schemas.CreditsExpired) },
	func() schemas.Event { return new(schemas.CreditsGranted) },
	func() schemas.Event { return new(schemas.CreditsReleased) },
	func() schemas.Event { return new(schemas.CreditsReserved) },
	func() schemas.Event { return new(schemas.GenerationCanceled) },
	func() schemas.Event { return new(schemas.GenerationFailed) },
	func() schemas.Event { return new(schemas.GenerationRequested) },
	func() schemas.Event { return new(schemas.GenerationSucceeded) },
	func() schemas.Event { return new(schemas.ImageComposed) },
	func() schemas.Event { return new(schemas.ImageDeleted) },
	func() schemas.Event { return new(schemas.ImageRated) },
	func() schemas.Event { return new(schemas.ImageRestored) },
	func() schemas.Event { return new(schemas.ImagesExported) },
	func() schemas.Event { return new(schemas.SpendRecorded) },
}

// TestVocabulary: Decide knows every released command and Evolve every event.
func TestVocabulary(t *testing.T) {
	known := map[string]bool{}
	for _, make := range everyCommand {
		c := make()
		known[c.SchemaName()] = true
		if d := Handle(schemas.Account{}, c, position(0, 0), noon); d.Panic != "" {
			t.Errorf("Decide: %s", d.Panic)
		}
	}
	for _, make := range everyEvent {
		e := make()
		known[e.SchemaName()] = true
		if f := (fold{}); !f.happened(e, noon) {
			t.Errorf("Evolve does not know %s", e.SchemaName())
		}
		Evolve(schemas.Account{}, e)
	}
	for _, released := range schemas.Newest() {
		_, name, _ := strings.Cut(released.Subject, "-")
		if !known[name] && (strings.HasPrefix(name, "atelier.commands.") || strings.HasPrefix(name, "atelier.events.")) {
			t.Errorf("%s is released and not decided or folded here", name)
		}
	}
}

// eventBytesMax is what no event may outgrow, with a wide margin below a record.
const eventBytesMax = 320_000

// TestWhateverIsSent fills commands with values that no maker of ours sends. Each
// has an outcome, and every event of it can be encoded and stored.
func TestWhateverIsSent(t *testing.T) {
	usual := usualAccount()
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(everyCommand).Draw(t, "command")()
		scramble(t, reflect.ValueOf(c).Elem())
		if rapid.Bool().Draw(t, "known account") {
			c.Meta().AccountID = testAccount
		}
		d := Handle(usual, c, position(0, usual.NextCommandOffset), noon)
		if d.Panic != "" || len(d.Events) == 0 {
			t.Fatalf("%T: %d events, panic %q", c, len(d.Events), d.Panic)
		}
		for _, e := range d.Events {
			raw, err := testCodec.Encode(e)
			if err != nil || len(raw) > eventBytesMax {
				t.Fatalf("%T of %d bytes: %v", e, len(raw), err)
			}
			storableAll(t, reflect.ValueOf(e).Elem(), schemas.ShortName(e))
		}
		if size := len(encode(t, d.Account)); size > accountBytesMax {
			t.Fatalf("account of %d bytes", size)
		}
	})
}

// scramble fills a value with good and bad ones alike.
func scramble(t *rapid.T, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(rapid.SampledFrom([]time.Time{{}, noon, time.Unix(1<<40, 1), time.Unix(-1<<40, 1)}).Draw(t, "time")))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			scramble(t, v.Field(i))
		}
	case v.Kind() == reflect.Pointer:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			scramble(t, v.Elem())
		}
	case v.Kind() == reflect.String:
		v.SetString(rapid.SampledFrom([]string{
			"", "x", testAccount, brandID(1), batchID(1), generationID(1), blockID(1), "\x00", "\xff", "standard", "create", "ours", "system",
			"logo", "image/png", "plan", "lost", strings.Repeat("é", 100_000), strings.Repeat("x", 200),
		}).Draw(t, "string"))
	case v.Kind() == reflect.Int, v.Kind() == reflect.Int64:
		v.SetInt(rapid.SampledFrom([]int64{0, 1, 2, 3, 48, 100_000, -1, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}).Draw(t, "int"))
	case v.Kind() == reflect.Float64:
		v.SetFloat(rapid.SampledFrom([]float64{0, 1.5, math.NaN(), math.Inf(1)}).Draw(t, "float"))
	case v.Kind() == reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes(bytesOf(255, rapid.SampledFrom([]int{0, 1, 16, 32, 100, 300_000}).Draw(t, "bytes")))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.SampledFrom([]int{0, 1, 3, 50}).Draw(t, "items"), 50))
		for i := range min(v.Len(), 3) {
			scramble(t, v.Index(i))
		}
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range rapid.SampledFrom([]int{0, 1, 40}).Draw(t, "entries") {
			value := reflect.New(v.Type().Elem()).Elem()
			scramble(t, value)
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint("k", i)), value)
		}
	default:
		panic(fmt.Sprintf("no way to scramble a %s", v.Type()))
	}
}

// storableAll checks that Postgres can keep every text and JSON every number and time.
func storableAll(t *rapid.T, v reflect.Value, path string) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		if at := v.Interface().(time.Time); !at.IsZero() && (at.Year() < 2000 || at.Year() > 9999) {
			t.Fatalf("%s is %s", path, at)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			storableAll(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		storableAll(t, v.Elem(), path)
	case v.Kind() == reflect.String && !storable(v.String()):
		t.Fatalf("%s is %q", path, v.String())
	case v.Kind() == reflect.Float64 && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)):
		t.Fatalf("%s is %v", path, v.Float())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		for i := range v.Len() {
			storableAll(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			storableAll(t, key, path+" key")
			storableAll(t, v.MapIndex(key), path+" value")
		}
	}
}
