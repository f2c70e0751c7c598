package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// get asks the Python service over HTTP.
func (a *api) get(ctx context.Context, method, path string, query url.Values) (body, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.settings.python+path+"?"+query.Encode(), nil)
	if err != nil {
		return body{}, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return body{}, unreachable(err)
	}
	done := func() { _ = response.Body.Close() }
	if response.StatusCode != http.StatusOK {
		defer done()
		return body{}, refused(response)
	}
	return body{response.Body, response.ContentLength, done}, nil
}

func unreachable(err error) error {
	if statusOf(err) == http.StatusGatewayTimeout {
		return fail(http.StatusGatewayTimeout, "the Python service did not answer in time: %v", err)
	}
	return fail(http.StatusBadGateway, "the Python service cannot be reached: %v", err)
}

// refused passes on what the Python service says of a request that it does not answer with users. What is its own fault
// is a bad gateway here.
func refused(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return refusal(response.StatusCode, text)
}

func refusal(status int, text []byte) error {
	var said struct{ Error string }
	reason := strings.TrimSpace(string(text))
	if json.Unmarshal(text, &said) == nil && said.Error != "" {
		reason = said.Error
	}
	if status == http.StatusInternalServerError {
		status = http.StatusBadGateway
	}
	return fail(status, "the Python service says: %s", reason)
}

// viaAPI asks over HTTP.
func (a *api) viaAPI(ctx context.Context, q question) (body, error) {
	return a.get(ctx, http.MethodGet, "/api/users", q.values())
}

// viaSHM asks over HTTP for a file in shared memory, and reads that. The file is this request's alone, by a name that
// nobody else can know, so no request gets another one's answer.
func (a *api) viaSHM(ctx context.Context, q question) (body, error) {
	name := filePrefix(a.settings) + rand.Text() + ".json"
	path := filepath.Join(a.settings.shmDir, name)
	// Nobody needs the name once the file is open; nor when the signal's answer is lost, though the file was written.
	defer func() { _ = os.Remove(path) }()
	query := q.values()
	query.Set("file", name)
	signal, err := a.get(ctx, http.MethodPost, "/api/write-to-shm", query)
	if err != nil {
		return body{}, err
	}
	defer signal.close()
	var written struct{ Size int64 }
	if err := json.NewDecoder(signal.reader).Decode(&written); err != nil {
		return body{}, fail(http.StatusBadGateway, "the Python service did not say what it wrote: %v", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return body{}, fail(http.StatusBadGateway, "the Python service's file: %v", err)
	}
	return body{file, written.Size, func() { _ = file.Close() }}, nil
}

// filePrefix begins the names of this API's files.
func filePrefix(s settings) string { return "users-" + s.segment + "-" }

// removeFiles removes the files that a killed API has left.
func removeFiles(s settings) error {
	files, err := filepath.Glob(filepath.Join(s.shmDir, filePrefix(s)+"*.json"))
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}
