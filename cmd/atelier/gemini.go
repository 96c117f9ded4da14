package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"atelier/processors/gemini/standin"
)

type geminiCmd struct {
	Address string `name:"address" default:"127.0.0.1:8090" help:"Where it listens."`
	Key     string `name:"key" default:"stand-in" help:"The API key that it asks for."`
}

// Run serves the stand-in until ctx ends.
func (cmd geminiCmd) Run(ctx context.Context, out io.Writer) error {
	listener, err := listen(cmd.Address, "--address")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: standin.New(standin.Options{Key: cmd.Key}), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintf(out, "stand-in for Gemini at http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
