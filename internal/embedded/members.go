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
	// sessionMin and sessionMax are what kfake takes as a session timeout.
	sessionMin, sessionMax = 6 * time.Second, 5 * time.Minute
	// unheardSession is the session timeout of a member whose joining was not heard: the
	// last run left it behind, or it joined in one step. It is Kafka's default.
	unheardSession = 45 * time.Second
)

// The group's states in which a member waits for an answer, by what it asked.
const (
	whileJoining = "PreparingRebalance"
	whileSyncing = "CompletingRebalance"
)

// members are the sessions of consumer groups. kfake's own go wrong where a rebalance
// and a death meet: its timer of a member runs on while the member waits in JoinGroup
// for others, and drops it without an answer; and it begins anew when an answer has
// left, which to a connection that is gone none does, so that who was killed while it
// joined keeps its partitions for ever.
//
// So kfake is told the longest timeout there is, and who has been silent for its own
// one is removed from here. As on a real broker, nobody is silent who waits for the
// answer to a JoinGroup or a SyncGroup. Static members keep kfake's sessions; none of
// ours is one.
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
	session time.Duration
	// heard is when it spoke last, or was answered.
	heard time.Time
	// waits is the state of the group in which it is owed an answer, or "".
	waits string
}

// watchMembers begins to listen to what members say.
func watchMembers(cluster *kfake.Cluster, log zerolog.Logger) *members {
	m := &members{cluster: cluster, log: log, groups: map[string]*group{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetCommit} {
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
		session := time.Duration(r.SessionTimeoutMillis) * time.Millisecond
		if r.MemberID == "" || r.InstanceID != nil || session < sessionMin || session > sessionMax {
			return // is given an ID first, is static, or is refused
		}
		r.SessionTimeoutMillis = int32(sessionMax.Milliseconds())
		if m.groups[r.Group] == nil {
			m.groups[r.Group] = &group{members: map[string]member{}}
		}
		m.groups[r.Group].members[r.MemberID] = member{session: session, heard: now, waits: whileJoining}
	case *kmsg.SyncGroupRequest:
		m.speaks(r.Group, r.MemberID, r.Generation, whileSyncing, now)
	case *kmsg.HeartbeatRequest:
		m.speaks(r.Group, r.MemberID, r.Generation, "", now)
	case *kmsg.OffsetCommitRequest:
		m.speaks(r.Group, r.MemberID, r.Generation, "", now)
	}
}

func (m *members) speaks(name, id string, generation int32, waits string, now time.Time) {
	g := m.groups[name]
	if g == nil {
		return
	}
	if generation > g.generation { // it has begun: all who joined it were answered
		g.generation = generation
		g.answered(whileJoining, now)
	}
	if one, ok := g.members[id]; ok {
		one.heard, one.waits = now, waits
		g.members[id] = one
	}
}

// answered begins the sessions of those who waited in a state that is over.
func (g *group) answered(waited string, now time.Time) {
	for id, one := range g.members {
		if one.waits == waited {
			one.heard, one.waits = now, ""
			g.members[id] = one
		}
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
				m.log.Warn().Err(err).Str("group", group).Msg("a silent member could not be removed from its group, trying again")
				continue
			}
			m.log.Info().Str("group", group).Int("members", len(ids)).Msg("a group's member was silent for its session timeout and was removed")
		}
	}
}

// dead names the members of each group that were silent for longer than their session.
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
		for _, state := range []string{whileJoining, whileSyncing} {
			if info.State != state {
				g.answered(state, now)
			}
		}
		for _, one := range info.Members {
			present[one.MemberID] = true
			if _, heard := g.members[one.MemberID]; !heard && one.InstanceID == nil {
				g.members[one.MemberID] = member{session: unheardSession, heard: now}
			}
		}
	}
	for id, one := range g.members {
		switch silent := now.Sub(one.heard) > one.session; {
		case silent && !present[id]:
			delete(g.members, id) // has left
		case silent && one.waits == "":
			dead = append(dead, id)
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
