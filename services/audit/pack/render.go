package pack

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"time"
)

//go:embed embed/README.md
var readmeText []byte

//go:embed embed/verify.py
var verifyScript []byte

//go:embed embed/certificate.html
var certificateText string

var certificateTemplate = template.Must(template.New("certificate").Funcs(template.FuncMap{
	"day":  day,
	"when": moment,
	"sum":  sumLine,
}).Parse(certificateText))

//go:embed embed/PERIOD.md
var periodReadme []byte

//go:embed embed/period.html
var periodText string

var periodTemplate = template.Must(template.New("period").Parse(periodText))

// counted is how many there are of a kind.
type counted struct {
	Type  string
	Count int64
}

// periodCertificate is the page for people about a period.
func periodCertificate(s *Summary) ([]byte, error) {
	data := struct {
		*Summary
		Kinds, Outcomes []counted
	}{Summary: s}
	for _, typ := range slices.Sorted(maps.Keys(s.Types)) {
		data.Kinds = append(data.Kinds, counted{typ, s.Types[typ]})
	}
	for _, result := range slices.Sorted(maps.Keys(s.Results)) {
		data.Outcomes = append(data.Outcomes, counted{result, int64(s.Results[result])})
	}
	var out bytes.Buffer
	if err := periodTemplate.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("writing %s: %w", fileCertificate, err)
	}
	return out.Bytes(), nil
}

// day is a date, or nothing for one that is not set.
func day(t time.Time) string {
	if t.IsZero() || t.Unix() == 0 {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// sumLine adds up the stores of a line.
func sumLine(l Line) (all Store) {
	for _, s := range l.Stores {
		all.Located, all.Erased, all.Kept = all.Located+s.Located, all.Erased+s.Erased, all.Kept+s.Kept
		all.Remaining, all.Exported = all.Remaining+s.Remaining, all.Exported+s.Exported
	}
	return all
}

// certificate is the page for people; problem is what did not add up.
func certificate(report *Report, problem error) ([]byte, error) {
	var out bytes.Buffer
	err := certificateTemplate.Execute(&out, struct {
		*Report
		Problem error
	}{report, problem})
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", fileCertificate, err)
	}
	return out.Bytes(), nil
}

// population has a row for each request (11 CCR 7101(b)).
func population(report *Report) ([]byte, error) {
	rows := [][]string{{"request_id", "regime", "right", "channel", "receive_date", "answer_date", "result", "reason_code",
		"intake_leaf", "closure_leaf", "records"}}
	for _, a := range report.Requests {
		rows = append(rows, []string{a.RequestID, a.Regime, a.Right, a.Channel, a.ReceiveDate, day(a.AnswerTime), a.Result, a.ReasonCode,
			strconv.FormatInt(a.IntakeLeaf, 10), strconv.FormatInt(a.ClosureLeaf, 10), strconv.Itoa(a.Records)})
	}
	return writeCSV(filePopulation, rows)
}

// metrics has a row for each right (11 CCR 7102(a)).
func metrics(report *Report) ([]byte, error) {
	byRight := map[string][]Account{}
	var rights []string
	for _, a := range report.Requests {
		if byRight[a.Right] == nil {
			rights = append(rights, a.Right)
		}
		byRight[a.Right] = append(byRight[a.Right], a)
	}
	slices.Sort(rights)
	rows := [][]string{{"right", "received", "complied_in_whole", "complied_in_part", "denied", "cancelled", "open", "median_days", "mean_days"}}
	for _, right := range rights {
		count, days := map[string]int{}, []float64{}
		for _, a := range byRight[right] {
			count[a.Result]++
			if a.Closed {
				days = append(days, a.AnswerTime.Sub(a.ReceiveTime).Hours()/24)
			}
		}
		median, mean := middle(days)
		rows = append(rows, []string{right, strconv.Itoa(len(byRight[right])), strconv.Itoa(count["complete"]),
			strconv.Itoa(count["complete_with_exceptions"] + count["partial"]), strconv.Itoa(count["denied"]),
			strconv.Itoa(count["cancelled"]), strconv.Itoa(count[""]), median, mean})
	}
	return writeCSV(fileMetrics, rows)
}

// middle is the median and the mean, or nothing of nothing.
func middle(days []float64) (median, mean string) {
	if len(days) == 0 {
		return "", ""
	}
	slices.Sort(days)
	m, total := (days[(len(days)-1)/2]+days[len(days)/2])/2, 0.0
	for _, d := range days {
		total += d
	}
	return strconv.FormatFloat(m, 'f', 1, 64), strconv.FormatFloat(total/float64(len(days)), 'f', 1, 64)
}

func writeCSV(name string, rows [][]string) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return out.Bytes(), nil
}
