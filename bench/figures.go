// Package bench measures the parts against bare baselines in the same run: what
// a loop without our rules would do on the same brokers with the same bytes.
package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
)

// Report is what `atelier bench NAME --json` prints.
type Report struct {
	Bench string `json:"bench"`
	// Broker is kafka or embedded, empty where none is measured.
	Broker  string   `json:"broker,omitempty"`
	Machine Machine  `json:"machine"`
	Figures []Figure `json:"figures"`
}

// Machine is what the figures were measured on.
type Machine struct {
	Cores    int    `json:"cores"`
	Platform string `json:"platform"`
	Go       string `json:"go"`
	// BrokerVersion is the version that the broker's requests are of, empty where
	// it is unknown.
	BrokerVersion string `json:"broker_version,omitempty"`
}

// ThisMachine describes where the process runs.
func ThisMachine() Machine {
	return Machine{Cores: runtime.GOMAXPROCS(0), Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
}

// Figure is one name with what each run measured.
type Figure struct {
	Name string `json:"name"`
	// Value is the median of Runs.
	Value float64   `json:"value"`
	Unit  string    `json:"unit"`
	Runs  []float64 `json:"runs"`
}

// Figures are collected run by run, in the order in which they were first seen.
type Figures []Figure

// Add notes what a run measured.
func (f *Figures) Add(name, unit string, value float64) {
	value = rounded(value)
	i := slices.IndexFunc(*f, func(known Figure) bool { return known.Name == name })
	if i < 0 {
		i = len(*f)
		*f = append(*f, Figure{Name: name, Unit: unit})
	}
	one := &(*f)[i]
	one.Runs = append(one.Runs, value)
	one.Value = quantile(one.Runs, 0.5)
}

// rounded keeps four digits: more is noise.
func rounded(value float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 4, 64), 64)
	return short
}

// quantile is the value at share q of values, the mean of the two in the middle
// for the median of an even number; 0 where there is none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// JSON writes the report as one object.
func (r Report) JSON(out io.Writer) error { return json.NewEncoder(out).Encode(r) }

// Table writes the report for a person: median, and the least and the most.
func (r Report) Table(out io.Writer) error {
	on := r.Broker
	if r.Machine.BrokerVersion != "" {
		on += " " + r.Machine.BrokerVersion
	}
	if on != "" {
		on += ", "
	}
	fmt.Fprintf(out, "%s on %s%d cores, %s, %s\n", r.Bench, on, r.Machine.Cores, r.Machine.Platform, r.Machine.Go)
	for _, f := range r.Figures {
		if _, err := fmt.Fprintf(out, "%-26s %10.4g %-10s (%.4g to %.4g, %d runs)\n",
			f.Name, f.Value, f.Unit, slices.Min(f.Runs), slices.Max(f.Runs), len(f.Runs)); err != nil {
			return err
		}
	}
	return nil
}
