package pack

import (
	"bytes"
	"fmt"
	"slices"
)

// checkReadable holds the files that are for reading against what the records
// say: the sums hold for whatever somebody wrote into them and summed up anew. A
// list that says otherwise is a problem. Of a page, and of what explains it, other
// versions of Habeas have written other words, so that a difference is told.
func (r *Report) checkReadable(files, want map[string][]byte) (problems []error) {
	for _, name := range []string{filePopulation, fileMetrics} {
		if !bytes.Equal(files[name], want[name]) {
			problems = append(problems, fmt.Errorf("%s does not say what the records say: %w", name, ErrIncomplete))
		}
	}
	for _, name := range []string{fileCertificate, fileReadme, fileVerify} {
		if !bytes.Equal(files[name], want[name]) {
			r.Warnings = append(r.Warnings, name+" is not what this version of Habeas writes from these records: it comes from another version, or somebody changed it; believe this report and not the file")
		}
	}
	return problems
}

// readable writes the files for reading of a request's pack, as its export did:
// without any trust from outside.
func readable(files map[string][]byte) (map[string][]byte, error) {
	report, problem := verifyFiles(files, Trust{})
	if report == nil {
		return nil, problem
	}
	return requestReadable(report, problem)
}

// requestReadable are the files for reading; problem is what did not add up.
func requestReadable(report *Report, problem error) (map[string][]byte, error) {
	out := map[string][]byte{fileReadme: readmeText, fileVerify: verifyScript}
	var err error
	if out[fileCertificate], err = certificate(report, problem); err != nil {
		return nil, err
	}
	if out[filePopulation], err = population(report); err != nil {
		return nil, err
	}
	out[fileMetrics], err = metrics(report)
	return out, err
}

// checkDestroyed sees that what is said to be destroyed was destroyed on record:
// that a retention record names its place, and that no more is gone than the
// records that name those places counted. Keys and retention records themselves
// are never destroyed.
func (v *periodVerifier) checkDestroyed() (problems []error) {
	for _, e := range v.erased {
		if !slices.ContainsFunc(v.retained, func(r destruction) bool { return r.covers(e) }) {
			problems = append(problems, fmt.Errorf("the record of leaf %d is missing and no retention record says that it was destroyed: %w", e, ErrIncomplete))
		}
	}
	for _, r := range v.retained {
		gone, most := int64(0), int64(0)
		for _, e := range v.erased {
			if r.covers(e) {
				gone++
			}
		}
		for _, o := range v.retained {
			if o.first <= r.last && r.first <= o.last {
				most += o.count
			}
		}
		if gone > most {
			problems = append(problems, fmt.Errorf("%d records of leaves %d to %d are missing and the retention records count %d that were destroyed: %w", gone, r.first, r.last, most, ErrIncomplete))
		}
	}
	return problems
}

// destruction is what a retention record says was destroyed of the log. One that
// names no leaves is of something else.
type destruction struct{ first, last, count int64 }

func (d destruction) covers(leaf int64) bool { return d.first <= leaf && leaf <= d.last }
