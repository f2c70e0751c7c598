package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// soon bounds what must happen, so that a test that fails does not hang.
const soon = 30 * time.Second

var ways = []string{"api", "shm", "eshm"}

// world is a Python service, and an API in front of it.
type world struct {
	t        *testing.T
	settings settings
	api      *httptest.Server
	exchange *exchange
	service  *exec.Cmd
}

var worlds atomic.Int32

// newWorld starts both; USERS_PYTHON is an interpreter that has what the service needs: see test.sh.
func newWorld(t *testing.T, change func(*settings)) *world {
	t.Helper()
	if os.Getenv("USERS_PYTHON") == "" {
		t.Skip("USERS_PYTHON is not set; run ../test.sh")
	}
	s, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.segment = fmt.Sprintf("users-test-%d-%d", os.Getpid(), worlds.Add(1))
	s.python = "http://" + freeAddress(t)
	s.shmDir = t.TempDir()
	if change != nil {
		change(&s)
	}
	log := slog.New(slog.DiscardHandler)
	w := &world{t: t, settings: s}
	if w.exchange, err = newExchange(context.Background(), s.segment, s.capacity, log); err != nil {
		t.Fatal(err)
	}
	w.api = httptest.NewServer(newAPI(s, w.exchange, log))
	t.Cleanup(func() {
		w.api.Close()
		_ = w.exchange.Close()
	})
	w.startService()
	return w
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// startService starts the Python service, and waits until it can be reached in every way.
func (w *world) startService() {
	w.t.Helper()
	w.service = exec.Command(os.Getenv("USERS_PYTHON"), "-m", "users_service", "--log-level", "warning",
		"--port", w.settings.python[strings.LastIndex(w.settings.python, ":")+1:],
		"--segment", w.settings.segment, "--shm-dir", w.settings.shmDir, "--shm-limit", "1000000")
	w.service.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("..", "python-service"))
	w.service.Stderr = os.Stderr
	if err := w.service.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.killService)
	for deadline := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := w.get("/health"); status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal("the Python service does not come up")
		}
	}
}

func (w *world) killService() {
	if w.service.ProcessState == nil {
		_ = w.service.Process.Kill()
		_ = w.service.Wait()
	}
}

// get returns the status, or 0 if the connection broke, and the body.
func (w *world) get(path string) (int, []byte) {
	response, err := w.api.Client().Get(w.api.URL + path)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, text
}

// check compares an answer with its question.
func check(text []byte, requestID string, count int) error {
	var answer struct {
		RequestID string `json:"request_id"`
		Users     []struct{ ID int }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	if answer.RequestID != requestID || len(answer.Users) != count || answer.Users[count-1].ID != count-1 {
		return fmt.Errorf("%q asked for %d users, and got %d for %q", requestID, count, len(answer.Users), answer.RequestID)
	}
	return nil
}

func TestEachWayAnswersAlike(t *testing.T) {
	w := newWorld(t, nil)
	for _, query := range []string{"", "&count=1&records=3", "&count=10", "&count=300"} {
		var first []byte
		for _, way := range ways {
			status, text := w.get("/api/users-via-" + way + "?request_id=one" + query)
			if status != http.StatusOK {
				t.Fatalf("%s: %d %s", way, status, text)
			}
			if first == nil {
				first = text
			} else if !bytes.Equal(first, text) {
				t.Errorf("%s%s: %d bytes, expected the same as before, %d", way, query, len(text), len(first))
			}
		}
		if query == "" && (len(first) < 240_000 || len(first) > 260_000) {
			t.Errorf("100 users are %d bytes, expected about 250 KB", len(first))
		}
	}
	if files, _ := filepath.Glob(filepath.Join(w.settings.shmDir, "*")); len(files) > 0 {
		t.Errorf("left behind: %q", files)
	}
}

func TestErrorsAreTold(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.capacity = 100_000 })
	long := "/api/users-via-eshm?request_id=" + strings.Repeat("x", 200_000)
	for path, expected := range map[string]struct {
		status int
		says   []string
	}{
		"/nowhere":                       {http.StatusNotFound, nil},
		"/api/users-via-api?count=0":     {http.StatusBadRequest, []string{"count is 0", "1 to 10000"}},
		"/api/users-via-shm?count=x":     {http.StatusBadRequest, []string{"count is x"}},
		"/api/users-via-eshm?records=-1": {http.StatusBadRequest, []string{"records is -1"}},
		"/api/users-via-shm?count=1000":  {http.StatusInsufficientStorage, []string{"bytes", "1000000"}},
		"/api/users-via-eshm?count=1000": {http.StatusInsufficientStorage, []string{"bytes", "100000"}},
		long:                             {http.StatusRequestEntityTooLarge, []string{"2000", "100000 bytes"}},
	} {
		status, text := w.get(path)
		if status != expected.status {
			t.Errorf("%.60s: %d %.200s, expected %d", path, status, text, expected.status)
		}
		for _, part := range expected.says {
			if !strings.Contains(string(text), part) {
				t.Errorf("%.60s: %s does not say %q", path, text, part)
			}
		}
	}
	for _, way := range ways {
		response, err := http.Post(w.api.URL+"/api/users-via-"+way, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST: %d", response.StatusCode)
		}
	}
	if status, text := w.get("/api/users-via-eshm?count=2"); status != http.StatusOK || check(text, "", 2) == nil {
		t.Errorf("after all that: %d", status)
	}
}

func TestNoRequestGetsAnotherOnesAnswer(t *testing.T) {
	w := newWorld(t, nil)
	var group sync.WaitGroup
	for g := range 32 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range 20 {
				id, count := fmt.Sprintf("g%d-%d", g, i), 1+(g*7+i*13)%50
				path := fmt.Sprintf("/api/users-via-%s?request_id=%s&count=%d", ways[(g+i)%3], id, count)
				status, text := w.get(path)
				if status != http.StatusOK {
					t.Errorf("%s: %d %s", path, status, text)
				} else if err := check(text, id, count); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
}

// TestKilledServiceIsReplacedUnderLoad: requests fail with 502 until it is back, and then succeed, without a restart
// of the API; and whoever gets users gets the right ones.
func TestKilledServiceIsReplacedUnderLoad(t *testing.T) {
	w := newWorld(t, nil)
	var statuses [3][600]atomic.Int64 // per way
	var stop atomic.Bool
	var group sync.WaitGroup
	for g := range 9 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; !stop.Load(); i++ {
				id, count := fmt.Sprintf("g%d-%d", g, i), 1+(g+i)%100
				status, text := w.get(fmt.Sprintf("/api/users-via-%s?request_id=%s&count=%d", ways[g%3], id, count))
				statuses[g%3][status].Add(1)
				if status == http.StatusOK {
					if err := check(text, id, count); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	more := func(status int) {
		t.Helper()
		for way := range ways {
			before := statuses[way][status].Load()
			for deadline := time.Now().Add(soon); statuses[way][status].Load() < before+5; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s: no more of status %d", ways[way], status)
				}
			}
		}
	}
	for range 3 {
		more(http.StatusOK)
		w.killService()
		more(http.StatusBadGateway)
		w.startService()
		more(http.StatusOK)
	}
	stop.Store(true)
	group.Wait()
	for way := range ways {
		for status := range statuses[way] {
			count := statuses[way][status].Load()
			// 0: the connection to the client was cut, since a part of the answer was on its way already.
			if count > 0 && status != http.StatusOK && status != http.StatusBadGateway && (status != 0 || ways[way] != "api") {
				t.Errorf("%s: %d times status %d", ways[way], count, status)
			}
		}
	}
}

func TestStoppedServiceIsATimeout(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.timeout = 300 * time.Millisecond })
	if err := w.service.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, way := range ways {
		if status, text := w.get("/api/users-via-" + way); status != http.StatusGatewayTimeout {
			t.Errorf("%s: %d %s", way, status, text)
		}
	}
	if err := w.service.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, way := range ways {
		for deadline := time.Now().Add(soon); ; {
			status, text := w.get("/api/users-via-" + way + "?request_id=later&count=3")
			if status == http.StatusOK {
				if err := check(text, "later", 3); err != nil {
					t.Error(err)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d %s", way, status, text)
			}
		}
	}
}

func TestCleanShutdownLeavesNothing(t *testing.T) {
	w := newWorld(t, nil)
	s := w.settings
	s.segment += "-run"
	s.listen = freeAddress(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- run(ctx, s, slog.New(slog.DiscardHandler)) }()
	for deadline := time.Now().Add(soon); ; time.Sleep(time.Millisecond) {
		response, err := http.Get("http://" + s.listen + "/api/users-via-api")
		if err == nil {
			_ = response.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if _, err := os.Stat("/dev/shm/eshm_" + s.segment); err == nil {
		t.Error("the segment is left")
	}
}
