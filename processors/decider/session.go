package decider

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// session is the life of one Kafka session: from joining the group to the first
// error. What it knows of accounts dies with it.
type session struct {
	*Decider
	kafka      *kafka.Session
	admin      *kafka.Admin
	producer   *kafka.Producer
	partitions int

	ctx  context.Context // ends with the session
	fail context.CancelCauseFunc
	work sync.WaitGroup
}

func (d *Decider) runSession(parent context.Context) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	s := &session{Decider: d, ctx: ctx, fail: fail}
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.close()
	s.work.Go(s.sweep)
	s.work.Go(s.endHanging)
	for {
		records, err := s.kafka.Poll(ctx, s.pace.commands())
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		began := time.Now()
		// A batch that is read is finished, also when the process is told to stop.
		err = s.decideBatch(context.WithoutCancel(ctx), records)
		s.pace.took(len(records), time.Since(began))
		if err != nil {
			return err
		}
	}
}

func (s *session) open(ctx context.Context) (err error) {
	if s.admin, err = kafka.NewAdmin(s.config.Kafka); err != nil {
		return err
	}
	if err := s.checkTopics(ctx); err != nil {
		s.admin.Close()
		return err
	}
	if s.producer, err = kafka.NewProducer(s.config.Kafka); err != nil {
		s.admin.Close()
		return err
	}
	opened := make(chan struct{})
	s.kafka, err = kafka.OpenSession(ctx, s.config.Kafka, kafka.SessionConfig{
		Group:           Group,
		TransactionalID: transactionalIDs + s.config.Instance,
		Topic:           schemas.TopicCommands,

		TransactionTimeout: s.config.TransactionTimeout,
		Assigned: func(partitions []int32) {
			taken := s.owned.take(partitions)
			s.work.Go(func() {
				<-opened
				s.restore(taken)
			})
		},
		Lost: s.owned.drop,
	})
	if err != nil {
		s.producer.Close()
		s.admin.Close()
		return err
	}
	close(opened)
	return nil
}

// checkTopics refuses topics whose partitions do not match: the events of a
// command stand in the command's own partition.
func (s *session) checkTopics(ctx context.Context) error {
	for _, topic := range []string{schemas.TopicCommands, schemas.TopicEvents, schemas.TopicAccounts, schemas.TopicDeadLetters} {
		n, err := s.admin.Partitions(ctx, topic)
		if err != nil {
			return err
		}
		if s.partitions == 0 {
			s.partitions = n
		}
		if n != s.partitions {
			return fmt.Errorf("%w: %s has %d partitions, %s %d", errFatal, topic, n, schemas.TopicCommands, s.partitions)
		}
	}
	return nil
}

// close leaves the group and waits for whatever the session started.
func (s *session) close() {
	s.fail(errors.New("session closed"))
	s.kafka.Close()
	s.work.Wait()
	s.owned.clear()
	s.producer.Close()
	s.admin.Close()
}
