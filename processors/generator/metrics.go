package generator

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	generations  *prometheus.GaugeVec
	slots        prometheus.Gauge
	waiting      prometheus.Gauge
	partitions   prometheus.Gauge
	halted       prometheus.Gauge
	schemaWait   prometheus.Gauge
	callSeconds  *prometheus.HistogramVec
	attempts     *prometheus.CounterVec
	judged       *prometheus.CounterVec
	answers      *prometheus.CounterVec
	refused      *prometheus.CounterVec
	notesDropped prometheus.Counter
	throttled    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "atelier_generator_" + name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atelier_generator_" + name, Help: help}, []string{label})
	}
	m := &metrics{
		generations: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "atelier_generator_generations",
			Help: "Open generations by state: waiting for a slot, delayed until a time, running, answered, settling."}, []string{"state"}),
		slots:      gauge("slots_in_use", "Slots that are taken."),
		waiting:    gauge("waiting", "Generations that wait for a slot."),
		partitions: gauge("partitions", "Partitions that this generator owns."),
		halted:     gauge("halted_partitions", "Partitions that stand behind an unreadable event; above 0 a person must act."),
		schemaWait: gauge("waiting_for_schema", "Partitions that wait for a schema; above 0 a person should act."),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "atelier_generator_call_seconds",
			Help: "Calls of the image model by outcome.", Buckets: prometheus.ExponentialBuckets(0.25, 2, 11)}, []string{"outcome"}),
		attempts: counters("attempts_total", "Attempts by outcome: ok, rejected, lost or the fault's code.", "outcome"),
		judged:   counters("judge_calls_total", "Calls of the judge by outcome: ok, unusable or the fault's code.", "outcome"),
		answers:  counters("answers_total", "Commands that were written, by name.", "command"),
		refused:  counters("answers_refused_total", "Answers that the decider refused, by code.", "code"),
		notesDropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "atelier_generator_notes_dropped_total",
			Help: "Progress notes that were not written."}),
		throttled: prometheus.NewCounter(prometheus.CounterOpts{Name: "atelier_generator_throttled_total",
			Help: "Calls that cost no attempt: refused for a quota or an overload, or kept back by the model's breaker."}),
	}
	if r != nil {
		r.MustRegister(m.generations, m.slots, m.waiting, m.partitions, m.halted, m.schemaWait,
			m.callSeconds, m.attempts, m.judged, m.answers, m.refused, m.notesDropped, m.throttled)
	}
	return m
}
