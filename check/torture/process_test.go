package torture

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/embedded/child"
)

// startTimeout bounds the start of one process.
const startTimeout = 2 * time.Minute

// binaries builds the program once for each set of build tags.
type binaries struct {
	mu    sync.Mutex
	dir   string
	built map[string]string
}

var programs = binaries{built: map[string]string{}}

// program returns the path of the program as built with tags. Its pictures are rough:
// nobody looks at them, and drawing them was half of all the work.
func program(t *testing.T, tags string) string {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if path := programs.built[tags]; path != "" {
		return path
	}
	path := filepath.Join(programs.dir, "atelier-"+strings.ReplaceAll(tags, ",", "-"))
	out, err := exec.Command("go", "build", "-tags", "rough,"+tags, "-o", path, "atelier/cmd/atelier").CombinedOutput()
	require.NoError(t, err, "%s", out)
	programs.built[tags] = path
	return path
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "atelier-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// process is one process of the program, started again as often as it is killed.
type process struct {
	t       *testing.T
	path    string
	args    []string
	env     []string
	logFile string

	mu       sync.Mutex
	child    *child.Process
	address  string // of the API or the model, where it has one
	operator string
}

var (
	addressLine = regexp.MustCompile(`^(?:address|ready|stand-in for Gemini at) +http://(\S+)`)
	runningLine = regexp.MustCompile(`operator +http://(\S+)/metrics`)
	readyLine   = regexp.MustCompile(`^(?:ready|stand-in for Gemini at) +http://`)
)

// start starts the process and waits until it says that it runs; `up`, until it is
// ready.
func (p *process) start() {
	p.t.Helper()
	running := p.launch()
	select {
	case ok := <-running:
		require.True(p.t, ok, "%v did not start; its log: %s", p.args, p.lastWords())
	case <-time.After(startTimeout):
		p.t.Fatalf("%v did not start within %s", p.args, startTimeout)
	}
}

// launch starts the process. The channel says once whether it runs, or has ended before.
func (p *process) launch() <-chan bool {
	p.t.Helper()
	read, write, err := os.Pipe()
	require.NoError(p.t, err)
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), p.env...), write, log
	started, err := child.Start(cmd, syscall.SIGKILL)
	_, _ = write.Close(), log.Close()
	require.NoError(p.t, err)
	p.mu.Lock()
	p.child = started
	p.mu.Unlock()
	running := make(chan bool, 1)
	go p.listen(read, running)
	return running
}

// startHalf starts the process and kills it before it runs: when its log has grown by
// some bytes, or when it runs all the same.
func (p *process) startHalf(bytes int64) {
	p.t.Helper()
	size := func() int64 {
		info, err := os.Stat(p.logFile)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	until := size() + bytes
	running := p.launch()
	require.Eventually(p.t, func() bool { return len(running) > 0 || size() >= until }, startTimeout, time.Millisecond)
	p.kill()
}

// listen reads what the process says until it ends.
func (p *process) listen(read *os.File, running chan<- bool) {
	defer read.Close()
	whole := p.args[0] == "up"
	said := false
	for lines := bufio.NewScanner(read); lines.Scan(); {
		line := lines.Text()
		p.mu.Lock()
		if m := addressLine.FindStringSubmatch(line); m != nil {
			p.address = m[1]
		}
		m := runningLine.FindStringSubmatch(line)
		if m != nil {
			p.operator = m[1]
		}
		p.mu.Unlock()
		if !said && (m != nil && !whole || readyLine.MatchString(line)) {
			said = true
			running <- true
		}
	}
	if !said {
		running <- false
	}
}

// base is the API's address at the moment.
func (p *process) base() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "http://" + p.address
}

func (p *process) running() *child.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child
}

// drain asks the process to end and waits until it has.
func (p *process) drain() {
	p.t.Helper()
	running := p.running()
	running.Signal(syscall.SIGTERM)
	select {
	case <-running.Done():
	case <-time.After(patience):
		p.t.Fatalf("%v did not end within %s; its log: %s", p.args, patience, p.lastWords())
	}
}

// kill ends the process as a crash would, and waits until it is gone.
func (p *process) kill() {
	running := p.running()
	running.Signal(syscall.SIGKILL)
	<-running.Done()
}

// stand stops the process where it is; goOn lets it go on.
func (p *process) stand() { p.running().Signal(syscall.SIGSTOP) }
func (p *process) goOn()  { p.running().Signal(syscall.SIGCONT) }

// lastWords is the end of the process's log.
func (p *process) lastWords() string {
	raw, _ := os.ReadFile(p.logFile)
	return child.LastWords(raw)
}
