package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// operator is what an operator sees of a process: its metrics, and whether each
// of its parts is there. It listens apart from the API.
type operator struct {
	registry *prometheus.Registry

	mu    sync.Mutex
	parts []readyPart
}

// readyPart is a part with the question whether it is there now.
type readyPart struct {
	name  string
	ready func() error
}

func newOperator() *operator {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &operator{registry: registry}
}

func (o *operator) add(name string, ready func() error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.parts = append(o.parts, readyPart{name, ready})
}

// readiness says "ok" of each part, or what is wrong, and whether all are there.
func (o *operator) readiness() (map[string]string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	parts, all := map[string]string{}, true
	for _, p := range o.parts {
		parts[p.name] = "ok"
		if err := p.ready(); err != nil {
			parts[p.name], all = err.Error(), false
		}
	}
	return parts, all
}

func (o *operator) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		parts, all := o.readiness()
		w.Header().Set("Content-Type", "application/json")
		if !all {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"ready": all, "parts": parts})
	})
	return mux
}

// serve listens until ctx ends. The listener is the caller's, so that a port in
// use is known before anything else starts.
func (o *operator) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: o.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("operator's listener: %w", err)
	}
	return nil
}

// listen opens an address, or says which one is taken and by which setting it
// can be changed.
func listen(address, setting string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w (%s is another address)", setting, address, err, setting+"=127.0.0.1:0")
	}
	return listener, nil
}
