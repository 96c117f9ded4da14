package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lockFile is registry.lock.json: every schema ever released, oldest first.
type lockFile struct {
	path    string
	Schemas []lockEntry `json:"schemas"`
}

type lockEntry struct {
	Subject string          `json:"subject"`
	Version int             `json:"version"`
	ID      int             `json:"id"`
	Schema  json.RawMessage `json:"schema"`
}

func readLock(path string) (*lockFile, error) {
	lock := &lockFile{path: path}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return lock, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, lock); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lock, nil
}

// add appends the schema if it is not the subject's newest version.
func (l *lockFile) add(topic, name string, schema []byte) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, schema); err != nil {
		return err
	}
	subject, version, id := topic+"-"+name, 0, 0
	var newest json.RawMessage
	for _, e := range l.Schemas {
		id = max(id, e.ID)
		if e.Subject == subject {
			version, newest = e.Version, e.Schema
		}
	}
	if newest != nil {
		var old bytes.Buffer
		if err := json.Compact(&old, newest); err != nil {
			return err
		}
		if bytes.Equal(old.Bytes(), compact.Bytes()) {
			return nil
		}
	}
	l.Schemas = append(l.Schemas, lockEntry{Subject: subject, Version: version + 1, ID: id + 1, Schema: compact.Bytes()})
	return nil
}

// write puts one schema on a line, so that a diff shows what was released.
func (l *lockFile) write() error {
	var out bytes.Buffer
	out.WriteString("{\"schemas\": [\n")
	for i, e := range l.Schemas {
		var compact bytes.Buffer
		if err := json.Compact(&compact, e.Schema); err != nil {
			return err
		}
		fmt.Fprintf(&out, `{"subject": %q, "version": %d, "id": %d, "schema": %s}`, e.Subject, e.Version, e.ID, compact.Bytes())
		if i < len(l.Schemas)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]}\n")
	return os.WriteFile(l.path, out.Bytes(), 0o644)
}
