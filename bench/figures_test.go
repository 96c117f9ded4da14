package bench

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFigureIsTheMedianOfItsRuns(t *testing.T) {
	var f Figures
	for _, value := range []float64{3, 1, 2.00004} {
		f.Add("a", "ms", value)
		f.Add("b", "s", 10*value)
	}
	f.Add("b", "s", 40)
	require.Equal(t, Figures{
		{Name: "a", Value: 2, Unit: "ms", Runs: []float64{3, 1, 2}},
		{Name: "b", Value: 25, Unit: "s", Runs: []float64{30, 10, 20, 40}},
	}, f)
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0}, {[]float64{7}, 0.99, 7}, {[]float64{4, 2}, 0.5, 3}, {[]float64{5, 1, 3}, 0.5, 3},
		{[]float64{0, 100}, 0.99, 99}, {[]float64{0, 100}, 1, 100}, {[]float64{9, 0}, 0, 0},
	} {
		require.Equal(t, tt.want, quantile(tt.values, tt.q), "%v at %v", tt.values, tt.q)
	}
}

// The shape that others read.
func TestAReportIsOneJSONObject(t *testing.T) {
	r := Report{Bench: "decide", Broker: "embedded", Machine: Machine{Cores: 2, Platform: "linux/amd64", Go: "go1"}}
	var f Figures
	f.Add("decide.ratio_to_bare", "ratio", 0.71)
	r.Figures = f
	var out, table bytes.Buffer
	require.NoError(t, r.JSON(&out))
	require.JSONEq(t, `{"bench": "decide", "broker": "embedded", "machine": {"cores": 2, "platform": "linux/amd64", "go": "go1"},
		"figures": [{"name": "decide.ratio_to_bare", "value": 0.71, "unit": "ratio", "runs": [0.71]}]}`, out.String())
	require.True(t, json.Valid(out.Bytes()))
	require.NoError(t, r.Table(&table))
	require.Contains(t, table.String(), "decide.ratio_to_bare")
}
