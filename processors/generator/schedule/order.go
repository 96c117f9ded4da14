package schedule

// The order, in one place. Accounts compete with each other (before), and the
// jobs of one account among themselves (within). Start-time fair queueing is a
// virtual time on account, charged in Next, corrected in take, and compared in
// before; round robin over an account's batches is another within. Nothing else
// knows the order.

// before says whether account a goes before b; both have a job waiting. First
// come, first served: the account whose first job was asked for first.
func before(a, b *account) bool { return within(a.waiting[0], b.waiting[0]) }

// within says whether job a goes before b. A job that was delayed is as old as
// it was, so that waiting for a quota costs nobody the place.
func within(a, b *entry) bool {
	if !a.Since.Equal(b.Since) {
		return a.Since.Before(b.Since)
	}
	return a.sequence < b.sequence
}

// queue is a heap of one account's waiting jobs.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return within(q[i], q[j]) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}

// delayed is a heap of jobs by the end of their delay.
type delayed []*entry

func (d delayed) Len() int { return len(d) }
func (d delayed) Less(i, j int) bool {
	if !d[i].until.Equal(d[j].until) {
		return d[i].until.Before(d[j].until)
	}
	return d[i].sequence < d[j].sequence
}

func (d delayed) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

func (d *delayed) Push(x any) {
	e := x.(*entry)
	e.index = len(*d)
	*d = append(*d, e)
}

func (d *delayed) Pop() any {
	last := len(*d) - 1
	e := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return e
}

// eligible is a heap of the accounts that may run one more job.
type eligible []*account

func (e eligible) Len() int           { return len(e) }
func (e eligible) Less(i, j int) bool { return before(e[i], e[j]) }
func (e eligible) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].index, e[j].index = i, j
}

func (e *eligible) Push(x any) {
	a := x.(*account)
	a.index = len(*e)
	*e = append(*e, a)
}

func (e *eligible) Pop() any {
	last := len(*e) - 1
	a := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	a.index = -1
	return a
}
