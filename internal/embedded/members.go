package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// membersEvery is how often silent members are looked for.
	membersEvery = time.Second
	// leaveTimeout bounds the removal of one member.
	leaveTimeout = 5 * time.Second
)

// members removes from consumer groups who has died while it was joining. kfake
// starts a member's session timer when the answer to its JoinGroup has left; to a
// connection that is gone none leaves, and the member would keep its partitions
// for ever. A process that is killed while it joins leaves that behind.
//
// Whoever lives sends SyncGroup as soon as a new generation has begun. Who has not
// been heard for its session timeout since then is dead, as on a real broker. Members
// that join in one step (before version 4 of JoinGroup, or static ones) are not
// watched; none of ours does.
type members struct {
	cluster *kfake.Cluster
	log     zerolog.Logger

	mu     sync.Mutex
	groups map[string]*group
}

// group is what was heard of a consumer group.
type group struct {
	generation int32
	members    map[string]member
}

// member is what was heard of a group's member.
type member struct {
	session time.Duration // its session timeout
	heard   time.Time
	// missed is when the first generation began of which it has said nothing; zero: none.
	missed time.Time
}

// watchMembers begins to listen to what members say.
func watchMembers(cluster *kfake.Cluster, log zerolog.Logger) *members {
	m := &members{cluster: cluster, log: log, groups: map[string]*group{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		cluster.ControlKey(key.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			m.hear(request, time.Now())
			return nil, nil, false
		})
	}
	return m
}

// hear notes a member's request.
func (m *members) hear(request kmsg.Request, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch r := request.(type) {
	case *kmsg.JoinGroupRequest:
		if r.MemberID == "" {
			return // is given one first
		}
		if m.groups[r.Group] == nil {
			m.groups[r.Group] = &group{members: map[string]member{}}
		}
		m.groups[r.Group].members[r.MemberID] = member{session: time.Duration(r.SessionTimeoutMillis) * time.Millisecond, heard: now}
	case *kmsg.SyncGroupRequest:
		m.speaks(r.Group, r.MemberID, r.Generation, now)
	case *kmsg.HeartbeatRequest:
		m.speaks(r.Group, r.MemberID, r.Generation, now)
	}
}

func (m *members) speaks(name, id string, generation int32, now time.Time) {
	g := m.groups[name]
	if g == nil {
		return
	}
	if generation > g.generation {
		g.generation = generation
		for silent, one := range g.members {
			if one.missed.IsZero() {
				one.missed = now
				g.members[silent] = one
			}
		}
	}
	if one, ok := g.members[id]; ok {
		one.heard, one.missed = now, time.Time{}
		g.members[id] = one
	}
}

// run removes the dead until ctx ends.
func (m *members) run(ctx context.Context, client *kgo.Client) {
	tick := time.NewTicker(membersEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for group, ids := range m.dead(time.Now()) {
			if err := removeMembers(ctx, client, group, ids); err != nil {
				m.log.Warn().Err(err).Str("group", group).Msg("a dead member could not be removed from its group, trying again")
				continue
			}
			m.log.Info().Str("group", group).Int("members", len(ids)).Msg("a group's member died while it joined and was removed")
		}
	}
}

// dead names the members of each group that did not live to see its generation.
func (m *members) dead(now time.Time) map[string][]string {
	m.mu.Lock()
	names := slices.Collect(maps.Keys(m.groups))
	m.mu.Unlock()
	dead := map[string][]string{}
	for _, name := range names {
		info := m.cluster.GroupInfo(name) // asks the cluster's loop, which may be in hear
		m.mu.Lock()
		if ids := m.deadOf(name, info, now); len(ids) > 0 {
			dead[name] = ids
		}
		m.mu.Unlock()
	}
	return dead
}

func (m *members) deadOf(name string, info *kfake.GroupInfo, now time.Time) (dead []string) {
	g := m.groups[name]
	present := map[string]bool{}
	if info != nil {
		for _, one := range info.Members {
			present[one.MemberID] = true
		}
	}
	for id, one := range g.members {
		switch {
		case present[id] && !one.missed.IsZero() && now.Sub(one.missed) > one.session:
			dead = append(dead, id)
		case !present[id] && now.Sub(one.heard) > one.session:
			delete(g.members, id) // has left
		}
	}
	if len(g.members) == 0 {
		delete(m.groups, name)
	}
	return dead
}

// removeMembers says for the members that they leave.
func removeMembers(ctx context.Context, client *kgo.Client, group string, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	request := kmsg.NewPtrLeaveGroupRequest()
	request.Group = group
	for _, id := range ids {
		leaving := kmsg.NewLeaveGroupRequestMember()
		leaving.MemberID = id
		request.Members = append(request.Members, leaving)
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("leave group: %w", err)
	}
	errs := []error{kerr.ErrorForCode(answer.ErrorCode)}
	for _, member := range answer.Members {
		if member.ErrorCode != kerr.UnknownMemberID.Code { // has left by itself
			errs = append(errs, kerr.ErrorForCode(member.ErrorCode))
		}
	}
	return errors.Join(errs...)
}
