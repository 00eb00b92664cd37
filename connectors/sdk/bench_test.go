package sdk_test

import (
	"fmt"
	"testing"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// BenchmarkErase measures whole jobs of a connector whose system is instant:
// taken, opened, located, journaled, erased, looked at again, signed twice,
// stored by the bus and acknowledged.
func BenchmarkErase(b *testing.B) {
	book := newBook()
	r := newRig(b, book)
	jobs := make([]*habeasv1.Job, b.N)
	for i := range jobs {
		email := fmt.Sprintf("person%d@example.com", i)
		book.put(email, "contacts", 2)
		jobs[i] = r.erase(fmt.Sprintf("job-%d", i), email)
	}
	for _, j := range jobs {
		msg, err := wire.JobMessage(j)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.js.PublishMsgAsync(msg); err != nil {
			b.Fatal(err)
		}
	}
	<-r.js.PublishAsyncComplete()
	b.ResetTimer()
	r.start()
	r.drained()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
