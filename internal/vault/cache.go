package vault

import (
	"container/list"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// keysCachedMax bounds the keys in memory (count): some 10 MB.
	keysCachedMax = 10_000
	// keyTTL is how long a key is used without a look at the table: a key that
	// another process destroyed is noticed within it.
	keyTTL = 30 * time.Second
)

// cache holds the keys that were used last. It is safe for concurrent use.
type cache struct {
	mu      sync.Mutex
	max     int
	entries map[uuid.UUID]*list.Element // of cached
	recent  *list.List                  // the last used in front
}

type cached struct {
	account uuid.UUID
	key     *accountKey
	until   time.Time // exclusive
}

func newCache(max int) *cache {
	return &cache{max: max, entries: map[uuid.UUID]*list.Element{}, recent: list.New()}
}

// get returns the account's key, nil where there is none or its time is over.
func (c *cache) get(account uuid.UUID, now time.Time) *accountKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[account]
	if element == nil {
		return nil
	}
	entry := element.Value.(cached)
	if !now.Before(entry.until) {
		c.drop(element)
		return nil
	}
	c.recent.MoveToFront(element)
	return entry.key
}

// put keeps a key that was read at a time. A destroyed key is never replaced by
// one that was read before it was destroyed.
func (c *cache) put(account uuid.UUID, key *accountKey, readAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.entries[account]; element != nil {
		if element.Value.(cached).key.destroyed && !key.destroyed {
			return
		}
		c.drop(element)
	}
	c.entries[account] = c.recent.PushFront(cached{account: account, key: key, until: readAt.Add(keyTTL)})
	if c.recent.Len() > c.max {
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(element *list.Element) {
	c.recent.Remove(element)
	delete(c.entries, element.Value.(cached).account)
}
