package kafka

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagTimeout bounds one look at the lag; a scrape waits behind it.
const lagTimeout = 3 * time.Second

// LagCollector tells how far groups are behind: records between what they have
// committed and what read_committed can read, by partition. It asks at each
// scrape and is silent where the brokers do not answer.
type LagCollector struct {
	admin  *Admin
	groups map[string]string // topic by group
	desc   *prometheus.Desc
}

// NewLagCollector looks at groups, each with the topic that it reads.
func NewLagCollector(admin *Admin, groups map[string]string) *LagCollector {
	return &LagCollector{admin: admin, groups: groups, desc: prometheus.NewDesc("atelier_consumer_lag_records",
		"Records that a group has not committed yet.", []string{"group", "topic", "partition"}, nil)}
}

// Describe implements prometheus.Collector.
func (l *LagCollector) Describe(descs chan<- *prometheus.Desc) { descs <- l.desc }

// Collect implements prometheus.Collector.
func (l *LagCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	for group, topic := range l.groups {
		ends, err := l.admin.StableOffsets(ctx, topic)
		if err != nil {
			return
		}
		committed, err := l.admin.CommittedOffsets(ctx, group, topic)
		if err != nil {
			return
		}
		for partition, end := range ends {
			metrics <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(end-committed[partition]),
				group, topic, strconv.Itoa(int(partition)))
		}
	}
}
