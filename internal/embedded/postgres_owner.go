package embedded

import (
	"context"
	"os/exec"
)

// owner is the user that Postgres runs as: us, or somebody less than root.
type owner struct {
	name     string
	uid, gid uint32
	other    bool // somebody else: we are root
}

// command runs name as the owner, with an environment of its own: PGDATA,
// PGPORT and the like are the caller's and would lead the server astray.
func (o owner) command(name string, arguments ...string) *exec.Cmd {
	return o.become(exec.Command(name, arguments...))
}

func (o owner) commandContext(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	return o.become(exec.CommandContext(ctx, name, arguments...))
}
