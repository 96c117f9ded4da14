package decider

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	transactionSeconds *prometheus.HistogramVec
	batchSize          prometheus.Histogram
	outcomes           *prometheus.CounterVec
	deadLetters        prometheus.Counter
	swept              prometheus.Counter
	restoreSeconds     prometheus.Histogram
	unknownSchema      prometheus.Gauge
	hanging            prometheus.Counter
}

func newMetrics(r prometheus.Registerer, partitions func() float64) *metrics {
	m := &metrics{
		transactionSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "atelier_decider_transaction_seconds",
			Help: "From the poll's return to the end of the transaction.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"result"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "atelier_decider_batch_commands",
			Help: "Commands of one transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 8)}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atelier_decider_outcomes_total",
			Help: "Decided commands by code; ok: done."}, []string{"code"}),
		deadLetters: prometheus.NewCounter(prometheus.CounterOpts{Name: "atelier_decider_dead_letters_total",
			Help: "Commands that became dead letters."}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{Name: "atelier_decider_swept_total",
			Help: "Commands that the sweep made because a time had come."}),
		restoreSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "atelier_decider_restore_seconds",
			Help: "From an assignment until its partitions are restored.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14)}),
		unknownSchema: prometheus.NewGauge(prometheus.GaugeOpts{Name: "atelier_decider_waiting_for_schema",
			Help: "Partitions that wait for a schema; above 0 a person should act."}),
		hanging: prometheus.NewCounter(prometheus.CounterOpts{Name: "atelier_decider_hanging_transactions_total",
			Help: "Transactions whose end the brokers lost on a partition, and that were ended there (KIP-664)."}),
	}
	owned := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "atelier_decider_partitions",
		Help: "Partitions that this decider owns."}, partitions)
	if r != nil {
		r.MustRegister(m.transactionSeconds, m.batchSize, m.outcomes, m.deadLetters, m.swept, m.restoreSeconds, m.unknownSchema, m.hanging, owned)
	}
	return m
}

func (m *metrics) transaction(commands int, took time.Duration, committed bool, codes map[string]int) {
	result := "aborted"
	if committed {
		result = "committed"
		for code, n := range codes {
			m.outcomes.WithLabelValues(code).Add(float64(n))
		}
	}
	m.transactionSeconds.WithLabelValues(result).Observe(took.Seconds())
	m.batchSize.Observe(float64(commands))
}
