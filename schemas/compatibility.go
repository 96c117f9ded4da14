package schemas

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hamba/avro/v2"
)

// CheckCompatibility says which versions break a promise to readers or writers:
// of events every version reads every other (FULL_TRANSITIVE: they are replayed
// for ever, by old consumers too), of the rest a newer one reads its
// predecessor (BACKWARD). The error names subject and versions.
func CheckCompatibility(released []Released) error {
	bySubject := map[string][]Released{}
	var broken []error
	for _, next := range released {
		for i, prev := range bySubject[next.Subject] {
			last := i == len(bySubject[next.Subject])-1
			full := strings.HasPrefix(next.Subject, TopicEvents+"-")
			if !last && !full {
				continue
			}
			if err := compatible(prev, next, full); err != nil {
				broken = append(broken, err)
			}
		}
		bySubject[next.Subject] = append(bySubject[next.Subject], next)
	}
	return errors.Join(broken...)
}

func compatible(prev, next Released, full bool) error {
	old, err := parse(string(prev.Schema))
	if err != nil {
		return fmt.Errorf("%s version %d: %w", prev.Subject, prev.Version, err)
	}
	young, err := parse(string(next.Schema))
	if err != nil {
		return fmt.Errorf("%s version %d: %w", next.Subject, next.Version, err)
	}
	check := avro.NewSchemaCompatibility()
	if err := check.Compatible(young, old); err != nil {
		return fmt.Errorf("%s: version %d cannot read version %d: %w", next.Subject, next.Version, prev.Version, err)
	}
	if !full {
		return nil
	}
	if err := check.Compatible(old, young); err != nil {
		return fmt.Errorf("%s: version %d cannot read version %d: %w", next.Subject, prev.Version, next.Version, err)
	}
	return nil
}
