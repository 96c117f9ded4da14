package schemas

import (
	"strconv"
	"time"
)

// The topics. All are keyed by account ID, have the same number of partitions
// and are partitioned by Kafka's murmur2, so that one partition holds all of a user.
const (
	TopicCommands    = "atelier.commands"
	TopicEvents      = "atelier.events"
	TopicAccounts    = "atelier.accounts"
	TopicProgress    = "atelier.progress"
	TopicDeadLetters = "atelier.deadletters"
)

// Topic is how a topic is to be made.
type Topic struct {
	Name string
	// Doc says what the topic holds and who writes it.
	Doc string
	// Retention is how long records are kept; 0: for ever.
	Retention time.Duration
	// Compacted topics keep the latest record of each key instead.
	Compacted bool
}

const day = 24 * time.Hour

// Topics is the table that `atelier topics apply` makes so.
var Topics = []Topic{
	{Name: TopicCommands, Doc: "what is asked; by api, generator and the decider's sweep, never in a transaction", Retention: 7 * day},
	{Name: TopicEvents, Doc: "what happened; by the decider only"},
	{Name: TopicAccounts, Doc: "the decider's state, latest per account; by the decider only", Compacted: true},
	{Name: TopicProgress, Doc: "stages of running generations; by the generator", Retention: day},
	{Name: TopicDeadLetters, Doc: "records that could not be read, with cause and origin, by whoever could not; and what became of them, by operators", Retention: 30 * day},
}

// Config returns the topic's configuration in Kafka's names and units.
func (t Topic) Config() map[string]string {
	if t.Compacted {
		return map[string]string{
			"cleanup.policy": "compact",
			// Compaction skips the active segment: small ones keep restores short.
			"segment.bytes":         "67108864",
			"max.compaction.lag.ms": "600000",
		}
	}
	retention := "-1"
	if t.Retention > 0 {
		retention = strconv.FormatInt(t.Retention.Milliseconds(), 10)
	}
	return map[string]string{"cleanup.policy": "delete", "retention.ms": retention}
}

// The headers that repeat a record's metadata, for tools that read no Avro, and
// for a decider that cannot read a command. Tools that drop headers lose nothing.
const (
	HeaderType          = "type"           // full record name
	HeaderID            = "id"             // ID of the record
	HeaderAccountID     = "account_id"     // the key
	HeaderCorrelationID = "correlation_id" // the request that began it
	HeaderCausationID   = "causation_id"
	HeaderTraceParent   = "traceparent" // W3C Trace Context
)
