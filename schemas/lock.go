package schemas

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
)

//go:embed registry.lock.json
var lockFile []byte

// Released is one version of one subject, as it was released.
type Released struct {
	Subject string          `json:"subject"`
	Version int             `json:"version"`
	ID      int             `json:"id"`
	Schema  json.RawMessage `json:"schema"`
}

// Lock returns every schema ever released, oldest first. The embedded registry
// is seeded from it, so that ids are the same on every machine.
var Lock = sync.OnceValue(func() []Released {
	var lock struct {
		Schemas []Released `json:"schemas"`
	}
	if err := json.Unmarshal(lockFile, &lock); err != nil {
		panic(fmt.Sprintf("schemas: the embedded lock is broken: %v", err))
	}
	return lock.Schemas
})

// Newest returns the newest version of each subject, in the lock's order.
func Newest() []Released {
	var newest []Released
	at := map[string]int{}
	for _, r := range Lock() {
		if i, ok := at[r.Subject]; ok {
			newest[i] = r
			continue
		}
		at[r.Subject] = len(newest)
		newest = append(newest, r)
	}
	return newest
}
