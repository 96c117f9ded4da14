package projections

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events       *prometheus.CounterVec
	applySeconds *prometheus.HistogramVec
	batchEvents  *prometheus.HistogramVec
	fencedTotal  *prometheus.CounterVec
	retriedTotal *prometheus.CounterVec
	halted       *prometheus.GaugeVec
	waiting      *prometheus.GaugeVec
	lagRecords   *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	version, partition := []string{"projection", "version"}, []string{"projection", "version", "partition"}
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atelier_projector_events_total",
			Help: "Events applied."}, version),
		applySeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "atelier_projector_apply_seconds",
			Help: "Time of one transaction.", Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16)}, version),
		batchEvents: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "atelier_projector_batch_events",
			Help: "Events of one transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 8)}, version),
		fencedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atelier_projector_fenced_total",
			Help: "Batches refused because another projector had moved the partition."}, version),
		retriedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atelier_projector_retries_total",
			Help: "Times that Postgres was asked again."}, version),
		halted: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "atelier_projector_halted",
			Help: "1 where a projection stands still in a partition for good; a person should act."}, partition),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "atelier_projector_waiting_for_schema",
			Help: "1 where a partition waits for a schema; a person should act."}, partition),
		lagRecords: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "atelier_projector_lag_records",
			Help: "Records that can be read and are not applied yet."}, partition),
	}
	if r != nil {
		r.MustRegister(m.events, m.applySeconds, m.batchEvents, m.fencedTotal, m.retriedTotal, m.halted, m.waiting, m.lagRecords)
	}
	return m
}

func labels(v version) prometheus.Labels {
	return prometheus.Labels{"projection": v.Name, "version": strconv.Itoa(v.Version)}
}

func partitionLabels(v version, partition int32) prometheus.Labels {
	l := labels(v)
	l["partition"] = strconv.Itoa(int(partition))
	return l
}

func (m *metrics) applied(v version, events int, took time.Duration) {
	m.events.With(labels(v)).Add(float64(events))
	m.applySeconds.With(labels(v)).Observe(took.Seconds())
	m.batchEvents.With(labels(v)).Observe(float64(events))
}

func (m *metrics) fenced(v version)  { m.fencedTotal.With(labels(v)).Inc() }
func (m *metrics) retried(v version) { m.retriedTotal.With(labels(v)).Inc() }

func (m *metrics) lag(v version, partition int32, records int64) {
	m.lagRecords.With(partitionLabels(v, partition)).Set(float64(max(records, 0)))
}

// standing shows whether a partition stands still, for good or for now.
func (m *metrics) standing(v version, partition int32, still, halted bool) {
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	m.halted.With(partitionLabels(v, partition)).Set(is(still && halted))
	m.waiting.With(partitionLabels(v, partition)).Set(is(still && !halted))
}

// forgetPartition drops what is shown of a partition that is somebody else's.
func (m *metrics) forgetPartition(v version, partition int32) {
	for _, gauge := range []*prometheus.GaugeVec{m.halted, m.waiting, m.lagRecords} {
		gauge.Delete(partitionLabels(v, partition))
	}
}

// forget drops what is shown of all partitions of a version.
func (m *metrics) forget(v version) {
	for _, gauge := range []*prometheus.GaugeVec{m.halted, m.waiting, m.lagRecords} {
		gauge.DeletePartialMatch(labels(v))
	}
}
