package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Cluster is what the brokers say of themselves.
type Cluster struct {
	Brokers int
	// Version is what their requests are of, such as "v4.1"; a guess, since no
	// request asks for it. Empty where there is none.
	Version string
}

// Cluster asks how many brokers there are, and of which version.
func (a *Admin) Cluster(ctx context.Context) (Cluster, error) {
	brokers, err := a.client.ListBrokers(ctx)
	if err != nil {
		return Cluster{}, fmt.Errorf("list brokers: %w", err)
	}
	c := Cluster{Brokers: len(brokers)}
	versions, err := a.client.ApiVersions(ctx)
	if err != nil {
		return c, fmt.Errorf("ask for versions: %w", err)
	}
	for _, v := range versions {
		c.Version = v.VersionGuess()
	}
	return c, nil
}

// RemoveAll removes every topic and group under the prefix. It refuses to do so
// without one: that would be everything.
func (a *Admin) RemoveAll(ctx context.Context) error {
	if a.config.Prefix == "" {
		return errors.New("remove topics: no prefix says which")
	}
	names, err := a.Topics(ctx)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if removed, err := a.client.DeleteTopics(ctx, names...); err != nil || removed.Error() != nil {
			return fmt.Errorf("remove topics under %s: %w", a.config.Prefix, errors.Join(err, removed.Error()))
		}
	}
	groups, err := a.client.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	if names := a.under(groups.Groups()); len(names) > 0 {
		if removed, err := a.client.DeleteGroups(ctx, names...); err != nil || removed.Error() != nil {
			return fmt.Errorf("remove groups under %s: %w", a.config.Prefix, errors.Join(err, removed.Error()))
		}
	}
	return nil
}

// Topics returns the names of all topics under the prefix, with it.
func (a *Admin) Topics(ctx context.Context) ([]string, error) {
	topics, err := a.client.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return a.under(topics.Names()), nil
}

func (a *Admin) under(names []string) []string {
	var under []string
	for _, name := range names {
		if strings.HasPrefix(name, a.config.Prefix) {
			under = append(under, name)
		}
	}
	return under
}
