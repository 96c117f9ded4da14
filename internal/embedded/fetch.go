package embedded

import (
	"math"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// boundFetchesByPartition lifts the bound of a whole Fetch and leaves those of its
// partitions. Where the first is reached, kfake answers with a partition's records
// but without the list of the transactions that were aborted among them, and
// whoever reads committed records only is shown aborted ones. A partition's own
// bound ends well. An answer then has at most the sum of its partitions' bounds.
func boundFetchesByPartition(cluster *kfake.Cluster) {
	cluster.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		request.(*kmsg.FetchRequest).MaxBytes = math.MaxInt32
		return nil, nil, false
	})
}
