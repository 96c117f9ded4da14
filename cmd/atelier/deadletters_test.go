package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/deadletters"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

// The whole way: bytes that nobody can read, somebody who looks, the cause mended,
// and the command decided once.
func TestADeadLetterFromItsCauseToItsOutcome(t *testing.T) {
	onDeadWorlds(t, func(t *testing.T, w *deadWorld) {
		registry := serveRegistry(t, "127.0.0.1:0", false)
		t.Setenv("ATELIER_REGISTRY_URL", registry.URL())
		w.decide(registry.URL())
		newer, cut, nobodys := w.command(1), w.command(2), w.command(3)
		binary.BigEndian.PutUint32(newer.Value[1:], 9001)
		cut.Value = cut.Value[:40]
		nobodys.Key = []byte("nobody")
		w.write(newer, cut, nobodys)
		require.Eventually(t, func() bool { return len(w.list().Letters) == 3 }, time.Minute, 20*time.Millisecond)

		require.Equal(t, 2, w.list("--limit", "1").More)
		require.Contains(t, w.runs("list", "--limit", "1"), "and 2 more (--limit)")
		require.Empty(t, w.list("--topic", schemas.TopicEvents).Letters)
		require.Len(t, w.list("--since", "1h", "--topic", schemas.TopicCommands).Letters, 3)
		require.Equal(t, "no dead letters\n", w.runs("list", "--cause", "no such cause"))
		found := w.list("--cause", "unknown schema id").Letters
		require.Len(t, found, 1)
		require.Equal(t, "atelier.commands.v1.GrantCredits", found[0].Type)
		require.Equal(t, string(newer.Key), found[0].Account)
		require.Equal(t, fmt.Sprintf("atelier.commands[%d]@%d", newer.Partition, newer.Offset), found[0].Origin)
		at := found[0].Place
		require.Regexp(t, regexp.QuoteMeta(at)+` .* `+regexp.QuoteMeta(found[0].Origin)+`  atelier.commands.v1.GrantCredits  `+string(newer.Key)+`  unknown schema id: 9001`, w.runs("list"))

		shown := w.runs("show", at, "--bytes", "16")
		for _, words := range []string{found[0].Origin, `"dead_cause" "unknown schema id: 9001"`, "the first 16 of them", "00000000  00 00 00 23 29", "readable   no: unknown schema id: 9001"} {
			require.Contains(t, shown, words)
		}
		w.refuses(at+" is not redriven: this build cannot read it either .*unknown schema id: 9001", "redrive", at)
		require.Empty(t, w.redriven())

		address := strings.TrimPrefix(registry.URL(), "http://")
		require.NoError(t, registry.Close())
		registry = serveRegistry(t, address, true)
		t.Cleanup(func() { require.NoError(t, registry.Close()) })
		require.Contains(t, w.runs("show", at), "readable   now, as atelier.commands.v1.GrantCredits: {")
		var shownJSON struct {
			ReadsAs string `json:"reads_as"`
			Reads   struct{ Credits int }
		}
		require.NoError(t, json.Unmarshal([]byte(w.runs("show", at, "--json")), &shownJSON))
		require.Equal(t, "atelier.commands.v1.GrantCredits", shownJSON.ReadsAs)

		out := w.runs("redrive", at, "--actor", "ada")
		written := w.redriven()[at]
		require.Len(t, written, 1)
		to := fmt.Sprintf("redriven to atelier.commands[%d]@%d", written[0].Partition, written[0].Offset)
		require.Contains(t, out, to)
		require.Equal(t, newer.Value, written[0].Value)
		require.Equal(t, newer.Key, written[0].Key)
		require.Equal(t, append(newer.Headers, kafka.Header{Key: "dead_redriven_from", Value: []byte(at)}), written[0].Headers)
		granted := func() string {
			out, err := atelier(t, "events", "--account", string(newer.Key), "--type", "CreditsGranted")
			require.NoError(t, err)
			return out
		}
		require.Eventually(t, func() bool { return granted() != "" }, time.Minute, 20*time.Millisecond, "it is decided")
		w.refuses(at+" is settled: "+regexp.QuoteMeta(to)+" by ada at", "redrive", at)
		w.refuses(at+" is settled: "+regexp.QuoteMeta(to)+" by ada at", "discard", at, "--reason", "no")
		require.Len(t, w.redriven()[at], 1)
		require.Equal(t, 1, strings.Count(granted(), "\n"))

		cutAt, nobodysAt := w.list("--cause", "truncated").Letters[0].Place, w.list("--cause", "no account ID").Letters[0].Place
		w.refuses(nobodysAt+" is not redriven: its key is no account ID", "redrive", nobodysAt, "--force")
		w.refuses("2 of 2 were refused, the first: ", "redrive", "--all")
		require.Contains(t, w.runs("discard", cutAt, "--reason", "sent by a test", "--actor", "ada"), "discarded")
		w.refuses(cutAt+" is settled: discarded by ada at .*: sent by a test", "redrive", cutAt, "--force")
		w.refuses(cutAt+" is settled: discarded by ada at .*: sent by a test", "discard", cutAt, "--reason", "again")
		require.Len(t, w.list().Letters, 1)
		all := w.list("--all").Letters
		require.Len(t, all, 3, "what became of a letter is no letter")
		require.Contains(t, w.runs("list", "--all"), to+" by ada at")
		w.refuses("no dead letter at 0@99", "show", "0@99")
		w.refuses("has no partition 77", "discard", "77@0", "--reason", "x")
	})
}

// An operator's process ends between two steps: whoever comes next ends what was
// begun, and the command is written once.
func TestARedriveThatEndsHalfWay(t *testing.T) {
	const longAgo = time.Hour
	onDeadWorlds(t, func(t *testing.T, w *deadWorld) {
		ctx := t.Context()
		t.Run("before it wrote, just now", func(t *testing.T) {
			at := w.bury(w.command(1))
			_, err := w.operator("ada", 0).Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			w.refuses(at+" is in other hands: redriving by ada since .*, which may still run; do the same again in (2m|1m)", "redrive", at)
			w.refuses(at+" is in other hands: redriving by ada since", "discard", at, "--reason", "x")
			require.Empty(t, w.redriven()[at])
			require.Contains(t, w.runs("list"), "redriving by ada since", "it is not settled yet")
		})
		t.Run("before it wrote, long ago", func(t *testing.T) {
			at := w.bury(w.command(2))
			_, err := w.operator("ada", longAgo).Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			w.runs("redrive", at)
			require.Len(t, w.redriven()[at], 1)
			w.refuses("is settled: redriven to", "redrive", at)
		})
		t.Run("after it wrote", func(t *testing.T) {
			at := w.bury(w.command(3))
			ada := w.operator("ada", 0)
			r, err := ada.Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			to, err := ada.Send(ctx, r)
			require.NoError(t, err)
			w.refuses(at+" is in other hands: it was written to", "discard", at, "--reason", "x")
			require.Contains(t, w.runs("redrive", at), "redriven to "+deadletters.Origin{Topic: schemas.TopicCommands, Place: to}.String())
			require.Len(t, w.redriven()[at], 1)
			require.NoError(t, ada.Conclude(ctx, r, to), "the first one was only slow")
			w.refuses("is settled: redriven to", "redrive", at)
		})
		t.Run("after it wrote, long ago, behind other commands", func(t *testing.T) {
			at := w.bury(w.command(4))
			ada := w.operator("ada", longAgo)
			r, err := ada.Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			_, err = ada.Send(ctx, r)
			require.NoError(t, err)
			for range 20 {
				w.write(w.command(4))
			}
			w.runs("redrive", at)
			require.Len(t, w.redriven()[at], 1)
		})
		t.Run("taken over by one that ended too", func(t *testing.T) {
			at := w.bury(w.command(5))
			_, err := w.operator("ada", longAgo).Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			ben := w.operator("ben", longAgo/2)
			r, err := ben.Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			_, err = ben.Send(ctx, r)
			require.NoError(t, err)
			w.runs("redrive", at)
			require.Len(t, w.redriven()[at], 1)
		})
		t.Run("and wakes up too late", func(t *testing.T) {
			at := w.bury(w.command(6))
			ago := longAgo
			ada, err := deadletters.New(deadletters.Config{Kafka: w.kafka, Codec: w.codec, Actor: "ada", Now: func() time.Time { return time.Now().Add(-ago) }})
			require.NoError(t, err)
			defer ada.Close()
			r, err := ada.Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			w.runs("redrive", at)
			ago = 0
			_, err = ada.Send(ctx, r)
			require.ErrorContains(t, err, "that took longer than 30s")
			require.Len(t, w.redriven()[at], 1)
		})
		t.Run("and writes while it is taken over", func(t *testing.T) {
			at := w.bury(w.command(8))
			ada := w.operator("ada", longAgo)
			r, err := ada.Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			var wrote deadletters.Place
			looks := 0
			ben, err := deadletters.New(deadletters.Config{Kafka: w.kafka, Codec: w.codec, Actor: "ben", Now: func() time.Time {
				if looks++; looks == 3 { // after its search, before its claim
					wrote, err = ada.Send(ctx, r)
				}
				return time.Now()
			}})
			require.NoError(t, err)
			defer ben.Close()
			to, err := ben.Redrive(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			require.Equal(t, wrote, to)
			require.Len(t, w.redriven()[at], 1)
		})
		t.Run("given up and laid aside", func(t *testing.T) {
			at := w.bury(w.command(7))
			_, err := w.operator("ada", longAgo).Claim(ctx, placeOf(t, at), false)
			require.NoError(t, err)
			w.runs("discard", at, "--reason", "not wanted any more")
			w.refuses("is settled: discarded by", "redrive", at)
			require.Empty(t, w.redriven()[at])
		})
	})
}

// Where the commands of the time are no longer there, nobody can tell whether it
// was written.
func TestARedriveOfWhichNothingIsLeft(t *testing.T) {
	onDeadWorlds(t, func(t *testing.T, w *deadWorld) {
		at := placeOf(t, w.bury(w.command(1)))
		header := func(key, value string) kafka.Header { return kafka.Header{Key: key, Value: []byte(value)} }
		w.write(&kafka.Record{Topic: schemas.TopicDeadLetters, Partition: at.Partition, Headers: []kafka.Header{
			header("dead_settled", "redriving"), header("dead_settled_offset", fmt.Sprint(at.Offset)), header("dead_settled_by", "ada"),
			header("dead_settled_at", time.Now().Add(-24*time.Hour).Format(time.RFC3339)), header("dead_settled_from", "1000"),
		}})
		w.refuses("the commands of that time are no longer there .* `atelier events --account`, then discard it", "redrive", at.String())
		w.runs("discard", at.String(), "--reason", "it was decided")
		require.Empty(t, w.redriven())
	})
}

// However many at once, one goes on; the others are told who.
func TestRedrivesAtOnce(t *testing.T) {
	const operators = 6
	onDeadWorlds(t, func(t *testing.T, w *deadWorld) {
		for i, begun := range []bool{false, true} {
			at := w.bury(w.command(i))
			if begun { // and given up: they take it over at once
				_, err := w.operator("ada", time.Hour).Claim(t.Context(), placeOf(t, at), false)
				require.NoError(t, err)
			}
			errs := make(chan error, operators)
			var together sync.WaitGroup
			for n := range operators {
				client := w.operator(fmt.Sprint("operator ", n), 0)
				together.Go(func() {
					_, err := client.Redrive(t.Context(), placeOf(t, at), false)
					errs <- err
				})
			}
			together.Wait()
			close(errs)
			succeeded := 0
			for err := range errs {
				if err == nil {
					succeeded++
					continue
				}
				require.Regexp(t, "is in other hands: redriving by operator|is settled: redriven to", err.Error())
			}
			require.GreaterOrEqual(t, succeeded, 1)
			require.Len(t, w.redriven()[at], 1)
		}
	})
}

// The registry is away, as in the incident that letters often come from: who looks
// and lays aside does not need it, and redriving waits for it.
func TestDeadLettersWhileTheRegistryIsAway(t *testing.T) {
	onDeadWorlds(t, func(t *testing.T, w *deadWorld) {
		registry := serveRegistry(t, "127.0.0.1:0", false)
		t.Setenv("ATELIER_REGISTRY_URL", registry.URL())
		address := strings.TrimPrefix(registry.URL(), "http://")
		require.NoError(t, registry.Close())
		at, others := w.bury(w.command(1)), w.bury(w.command(2))
		began := time.Now()
		require.Len(t, w.list().Letters, 2)
		w.runs("discard", others, "--reason", "why")
		shown := w.runs("show", at)
		for _, words := range []string{"cause      unknown schema id: 9001", "00000000  00 00 00", "readable   not known while the registry is away: the registry does not answer: "} {
			require.Contains(t, shown, words)
		}
		require.Contains(t, w.runs("show", at, "--json"), `"registry_away":true`)
		for _, args := range [][]string{{"redrive", at}, {"redrive", at, "--force"}, {"redrive", "--all"}} {
			w.refuses("nothing is redriven: bring the registry back and do the same again: the registry does not answer: ", args...)
		}
		require.Less(t, time.Since(began), patience, "nobody waits as a role does")

		registry = serveRegistry(t, address, false)
		t.Cleanup(func() { require.NoError(t, registry.Close()) })
		w.runs("redrive", "--all", "--since", "1h", "--cause", "unknown schema")
		require.Len(t, w.redriven()[at], 1)
	})
}

// One write that nobody confirms would befall the next ones too: they are not tried,
// and the same again ends what was begun.
func TestARedriveThatNobodyConfirms(t *testing.T) {
	const produce = 0 // the request's key
	onDeadWorlds(t, func(t *testing.T, w *deadWorld) {
		var places []deadletters.Place
		for n := range 4 {
			places = append(places, placeOf(t, w.bury(w.command(n))))
		}
		network := &kafkatest.Network{}
		t.Cleanup(network.Thaw)
		var looks int
		var stands atomic.Bool
		network.Choose = func(e kafkatest.Exchange) kafkatest.Fault {
			if e.Key == produce && stands.CompareAndSwap(true, false) {
				network.Freeze()
			}
			return kafkatest.Pass
		}
		cut := w.kafka
		cut.Dial = network.Dial
		client, err := deadletters.New(deadletters.Config{Kafka: cut, Codec: w.codec, Actor: "ada", Now: func() time.Time {
			if looks++; looks == 7 { // before the second letter's command, with one of its 30 s left
				stands.Store(true)
				return time.Now().Add(29 * time.Second)
			}
			return time.Now()
		}})
		require.NoError(t, err)
		t.Cleanup(client.Close)
		redrive := func(client *deadletters.Client) (string, error) {
			var out strings.Builder
			err := eachLetter(t.Context(), &out, places, func(at deadletters.Place) (string, error) {
				to, err := client.Redrive(t.Context(), at, false)
				network.Thaw() // what was held comes late
				return to.String(), err
			})
			return out.String(), err
		}
		out, err := redrive(client)
		require.Error(t, err)
		require.Regexp(t, "^2 of 4 were not tried, since "+places[1].String()+": it is not known whether it was written: do the same again, it looks before it writes: the brokers did not confirm it: ", oneLine(err))
		require.Equal(t, 1, strings.Count(out, "\n"), out)
		require.Eventually(t, func() bool { return len(w.redriven()) == 2 }, time.Minute, 10*time.Millisecond)
		out, err = redrive(w.operator("ben", 0))
		require.ErrorContains(t, err, places[0].String()+" is settled: redriven to", "the others are not")
		require.Equal(t, 4, strings.Count(out, "\n"), out)
		for _, at := range places {
			require.Len(t, w.redriven()[at.String()], 1)
		}
	})
}

// What is no command of this topic, whole and of its own account, is not written.
func TestWhatIsNotRedriven(t *testing.T) {
	onDeadWorlds(t, func(t *testing.T, w *deadWorld) {
		event := w.command(1)
		event.Topic = schemas.TopicEvents
		large := w.command(2)
		large.Value = append(large.Value, make([]byte, 400_000)...)
		others := w.command(3)
		others.Key = []byte(schemas.DeriveID("dead", "another"))
		broken := w.command(4)
		broken.Value = broken.Value[:30]
		strayed := w.command(5)
		right := strayed.Partition
		strayed.Partition = (right + 1) % deadPartitions
		w.refuses("is not redriven: it was a record of atelier.events, and only commands are redriven", "redrive", w.bury(event), "--force")
		w.refuses("is not redriven: only the beginning of its 4[0-9]{5} bytes was kept", "redrive", w.bury(large), "--force")
		w.refuses("is not redriven: its key is not its account", "redrive", w.bury(others), "--force")
		brokenAt := w.bury(broken)
		w.refuses("is not redriven: this build cannot read it either .*truncated", "redrive", brokenAt)
		w.runs("redrive", brokenAt, "--force")
		require.Len(t, w.redriven()[brokenAt], 1)

		strayedAt := w.bury(strayed)
		again := w.bury(strayed) // as after a reset of the group's offsets
		w.refuses(again+" is settled: the same record as "+strayedAt, "redrive", again)
		w.refuses("^2 of 3 were refused, the first: ", "redrive", "--all", "--cause", "unknown schema")
		require.Equal(t, right, w.redriven()[strayedAt][0].Partition, "where its key belongs")
		require.Len(t, w.redriven(), 2)
		w.refuses("is settled: the same record as", "redrive", again)
	})
}

func TestDeadLettersWrongUsage(t *testing.T) {
	t.Setenv("ATELIER_BROKERS", "127.0.0.1:1") // nobody: none of these gets as far
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"redrive"}, "--all"},
		{[]string{"redrive", "3@17", "--all"}, "--all"},
		{[]string{"redrive", "3@17", "--cause", "x"}, "--cause and --since go with --all"},
		{[]string{"redrive", "3@17", "--since", "1h"}, "--cause and --since go with --all"},
		{[]string{"redrive", "--all", "--since=-1h"}, "--since"},
		{[]string{"redrive", "3-17"}, "PARTITION@OFFSET"},
		{[]string{"show", "3@-1"}, "PARTITION@OFFSET"},
		{[]string{"show"}, "place"},
		{[]string{"show", "3@17", "--bytes=-1"}, "--bytes"},
		{[]string{"discard", "3@17"}, "--reason"},
		{[]string{"discard", "3@17", "--reason", " "}, "--reason may be 1 to"},
		{[]string{"list", "--limit", "0"}, "--limit"},
		{[]string{"list", "--since=-1h"}, "--since"},
	} {
		_, err := atelier(t, append([]string{"deadletters"}, tt.args...)...)
		require.ErrorIs(t, err, errUsage, "%v", tt.args)
		require.ErrorContains(t, err, tt.says, "%v", tt.args)
		require.NotContains(t, err.Error(), "\n")
	}
}
