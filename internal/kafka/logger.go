package kafka

import (
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// logger hands the client's own words on. Its Info is our Debug: it speaks of
// every heartbeat and rebalance.
type logger struct{ log zerolog.Logger }

func (l logger) Level() kgo.LogLevel {
	if l.log.GetLevel() <= zerolog.DebugLevel {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	event := l.log.Debug()
	if level <= kgo.LogLevelWarn {
		event = l.log.Warn()
	}
	event.Fields(keyvals).Str("kafka", msg).Msg("kafka client")
}
