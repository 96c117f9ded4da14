package api

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// pageItems is how many items a page has where the client does not say.
	pageItems = 50
	// cursorSeparator stands between the parts of a cursor, none of which has it.
	cursorSeparator = "|"
)

// cursorOf makes the cursor of a list: opaque to clients, and good for the list
// that made it.
func cursorOf(list string, keys ...string) *string {
	text := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(append([]string{list}, keys...), cursorSeparator)))
	return &text
}

// parseCursor returns the n keys of a cursor, nil where there is none.
func parseCursor(cursor *string, list string, n int) ([]string, error) {
	if cursor == nil || *cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*cursor)
	parts := strings.Split(string(raw), cursorSeparator)
	if err != nil || len(parts) != n+1 || parts[0] != list {
		return nil, errCursor()
	}
	return parts[1:], nil
}

func errCursor() error { return refuse(codeInvalidCursor, "begin without a cursor") }

// timeCursor is the place of an item in a list by time, newest first, and by ID
// where times are equal.
type timeCursor struct {
	at time.Time
	id uuid.UUID
}

func parseTimeCursor(cursor *string, list string) (*timeCursor, error) {
	keys, err := parseCursor(cursor, list, 2)
	if err != nil || keys == nil {
		return nil, err
	}
	micros, err1 := strconv.ParseInt(keys[0], 10, 64)
	id, err2 := uuid.Parse(keys[1])
	if err1 != nil || err2 != nil {
		return nil, errCursor()
	}
	return &timeCursor{at: time.UnixMicro(micros).UTC(), id: id}, nil
}

func (t timeCursor) cursor(list string) *string {
	return cursorOf(list, strconv.FormatInt(t.at.UnixMicro(), 10), t.id.String())
}

// numbersCursor is the place of an item in a list by numbers.
func parseNumbersCursor(cursor *string, list string, n int) ([]int64, error) {
	keys, err := parseCursor(cursor, list, n)
	if err != nil || keys == nil {
		return nil, err
	}
	numbers := make([]int64, n)
	for i, key := range keys {
		if numbers[i], err = strconv.ParseInt(key, 10, 64); err != nil {
			return nil, errCursor()
		}
	}
	return numbers, nil
}

func limitOf(limit *Limit) int {
	if limit == nil {
		return pageItems
	}
	return *limit
}

// query is SQL with its arguments, put together from fixed parts.
type query struct {
	sql  strings.Builder
	args []any
}

// add appends SQL in which each ? stands for the next argument.
func (q *query) add(sql string, args ...any) {
	for _, arg := range args {
		before, after, _ := strings.Cut(sql, "?")
		q.args = append(q.args, arg)
		q.sql.WriteString(before + "$" + strconv.Itoa(len(q.args)))
		sql = after
	}
	q.sql.WriteString(sql)
}

// page cuts the item that only tells that there is more.
func page[T any](items []T, limit int, cursor func(last T) *string) ([]T, *string) {
	if len(items) <= limit {
		return items, nil
	}
	items = items[:limit]
	return items, cursor(items[limit-1])
}
