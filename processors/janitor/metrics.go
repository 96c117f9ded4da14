package janitor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	binned     prometheus.Gauge
	partitions prometheus.Gauge
	standing   prometheus.Gauge
	images     prometheus.Counter
	objects    prometheus.Counter
	journal    prometheus.Counter
	failures   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "atelier_janitor_" + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "atelier_janitor_" + name, Help: help})
	}
	m := &metrics{
		binned:     gauge("binned", "Images in the bin of the partitions that this janitor owns."),
		partitions: gauge("partitions", "Partitions that this janitor owns."),
		standing:   gauge("standing_partitions", "Partitions that stand before an event which cannot be read; above 0 a person must act."),
		images:     counter("images_erased_total", "Images whose files were erased."),
		objects:    counter("objects_erased_total", "Their files: masters, thumbnails, exports."),
		journal:    counter("journal_erased_total", "Entries of the generators' journal that were erased, for their age."),
		failures:   counter("failures_total", "Looks that ended before their end because the media store or Kafka did not answer."),
	}
	if r != nil {
		r.MustRegister(m.binned, m.partitions, m.standing, m.images, m.objects, m.journal, m.failures)
	}
	return m
}
