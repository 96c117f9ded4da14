package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen is net.Listen on TCP with a clear word for the usual mistake.
func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s is in use by another process: choose another port or stop that process: %w", address, syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
