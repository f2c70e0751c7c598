package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// failure is why a request is not answered with users, and the status that says so.
type failure struct {
	status int
	reason string
}

func (f *failure) Error() string { return f.reason }

func fail(status int, format string, arguments ...any) error {
	return &failure{status, fmt.Sprintf(format, arguments...)}
}

// question is what a client wants to know.
type question struct {
	RequestID string `json:"request_id"`
	Count     string `json:"count"`
	Records   string `json:"records"`
}

// ask reads a client's question. Whether it can be answered is the Python service's to say.
func ask(r *http.Request) question {
	query := r.URL.Query()
	return question{
		RequestID: cmp.Or(query.Get("request_id"), rand.Text()),
		Count:     cmp.Or(query.Get("count"), "100"),
		Records:   cmp.Or(query.Get("records"), "10"),
	}
}

func (q question) values() url.Values {
	return url.Values{"request_id": {q.RequestID}, "count": {q.Count}, "records": {q.Records}}
}

// body is an answer: its length is known, and it is read once.
type body struct {
	reader io.Reader
	size   int64
	close  func()
}

// source is one way of asking the Python service.
type source func(ctx context.Context, q question) (body, error)

// api answers the HTTP requests of clients.
type api struct {
	settings settings
	log      *slog.Logger
	client   *http.Client
	exchange *exchange
}

func newAPI(s settings, exchange *exchange, log *slog.Logger) http.Handler {
	a := &api{settings: s, log: log, exchange: exchange, client: &http.Client{
		// Kept alive: a connection per request would make the ways over HTTP slower than they are.
		Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/users-via-api", a.handle(a.viaAPI))
	mux.HandleFunc("GET /api/users-via-shm", a.handle(a.viaSHM))
	mux.HandleFunc("GET /api/users-via-eshm", a.handle(a.viaESHM))
	mux.HandleFunc("GET /health", a.health)
	return mux
}

// handle answers a request with what a source has.
func (a *api) handle(from source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		since := time.Now()
		q := ask(r)
		ctx, cancel := context.WithTimeout(r.Context(), a.settings.timeout)
		defer cancel()
		status, sent, err := a.pass(ctx, w, from, q)
		level := slog.LevelInfo
		if err != nil {
			level = slog.LevelWarn
		}
		a.log.Log(r.Context(), level, "request", "path", r.URL.Path, "request_id", q.RequestID, "status", status,
			"bytes", sent, "ms", float64(time.Since(since).Microseconds())/1000, "error", err)
		if err != nil && status == http.StatusOK {
			// The client has a part already, and must not take it for the whole.
			panic(http.ErrAbortHandler)
		}
	}
}

// pass sends an answer on to the client, or says why there is none.
func (a *api) pass(ctx context.Context, w http.ResponseWriter, from source, q question) (status int, sent int64, err error) {
	answer, err := from(ctx, q)
	if err != nil {
		status := statusOf(err)
		writeJSON(w, status, map[string]string{"error": err.Error(), "request_id": q.RequestID})
		return status, 0, err
	}
	defer answer.close()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(answer.size))
	sent, err = io.Copy(w, answer.reader)
	if err == nil && sent != answer.size {
		err = io.ErrUnexpectedEOF
	}
	return http.StatusOK, sent, err
}

// statusOf is the status that tells a client of an error.
func statusOf(err error) int {
	var known *failure
	var network net.Error
	switch {
	case errors.As(err, &known):
		return known.status
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return http.StatusGatewayTimeout
	default:
		return http.StatusBadGateway
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// It fails only when the client is gone.
	_ = json.NewEncoder(w).Encode(value)
}

// health tells how the Python service can be reached: 200 if in every way, 503 otherwise.
func (a *api) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	rest := "up"
	if answer, err := a.get(ctx, http.MethodGet, "/health", nil); err != nil {
		rest = err.Error()
	} else {
		answer.close()
	}
	peer := a.exchange.PeerState()
	status, word := http.StatusOK, "ok"
	if rest != "up" || peer != "alive" {
		status, word = http.StatusServiceUnavailable, "degraded"
	}
	writeJSON(w, status, map[string]any{"status": word, "python": map[string]string{"rest": rest, "eshm": peer}})
}
