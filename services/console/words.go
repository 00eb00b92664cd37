package console

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// tone is how something looks: never the only way it is told.
type tone string

const (
	good tone = "good"
	idle tone = "idle"
	busy tone = "busy"
	warn tone = "warn"
	bad  tone = "bad"
)

// word is a value in words.
type word struct {
	Value string // as in the API
	Label string
	Tone  tone
}

var rightLabels = map[request.Right]string{
	request.KnowCategories: "Know categories", request.KnowSpecific: "Copy of data", request.Delete: "Deletion",
	request.Correct: "Correction", request.OptOutSaleShare: "Opt out of sale", request.LimitSPI: "Limit sensitive data",
	request.OptInSaleShare: "Opt in to sale", request.OptInSPI: "Allow sensitive use again", request.Appeal: "Appeal",
}

var channelLabels = map[request.Channel]string{
	request.ChannelAPI: "API", request.ChannelAgent: "Agent's system", request.ChannelGPC: "Browser's signal", request.ChannelDROP: "State's deletion platform",
}

var stateWords = map[request.State]word{
	request.Received:             {Label: "Received", Tone: idle},
	request.AwaitingVerification: {Label: "Awaiting verification", Tone: warn},
	request.Accepted:             {Label: "Accepted", Tone: busy},
	request.Held:                 {Label: "On hold", Tone: warn},
	request.Resolving:            {Label: "Resolving", Tone: busy},
	request.Running:              {Label: "Running", Tone: busy},
	request.Packaging:            {Label: "Packaging", Tone: busy},
	request.Closing:              {Label: "Closing", Tone: busy},
	request.Closed:               {Label: "Closed", Tone: idle},
}

var resultWords = map[request.Result]word{
	request.ResultComplete:               {Label: "Complete", Tone: good},
	request.ResultCompleteWithExceptions: {Label: "Complete, some kept by law", Tone: good},
	request.ResultPartial:                {Label: "Partial", Tone: warn},
	request.ResultDenied:                 {Label: "Denied", Tone: idle},
	request.ResultCancelled:              {Label: "Cancelled", Tone: idle},
}

var jobWords = map[request.JobState]word{
	request.JobPlanned:         {Label: "Planned", Tone: idle},
	request.JobSent:            {Label: "Sent", Tone: busy},
	request.JobDeferred:        {Label: "Waiting", Tone: busy},
	request.JobDone:            {Label: "Done", Tone: good},
	request.JobNoMatch:         {Label: "Nothing held", Tone: good},
	request.JobRetained:        {Label: "Done, some kept by law", Tone: good},
	request.JobNeedsIdentifier: {Label: "Needs an identifier", Tone: warn},
	request.JobPartial:         {Label: "Partly done", Tone: warn},
	request.JobOverLimit:       {Label: "Over the limit, not done", Tone: bad},
	request.JobPlanChanged:     {Label: "Plan changed, not done", Tone: warn},
	request.JobNotSupported:    {Label: "Not supported, not done", Tone: warn},
	request.JobFailed:          {Label: "Failed", Tone: bad},
	request.JobCancelled:       {Label: "Cancelled", Tone: idle},
}

var actionLabels = map[request.Action]string{
	request.ActionResolve: "Find identifiers", request.ActionLocate: "Look", request.ActionExport: "Copy",
	request.ActionErase: "Erase", request.ActionCorrect: "Correct", request.ActionOptOut: "Opt out", request.ActionLimit: "Limit", request.ActionOptIn: "Opt in", request.ActionLiftLimit: "Lift limit",
}

var holdLabels = map[request.HoldKind]string{
	request.LegalHold: "Legal hold", request.PoliceHold: "Direction of the police", request.SuspicionHold: "Suspicion of fraud",
	request.CoolingHold: "Waiting period before erasure", request.OrderHold: "Another request goes first",
	request.ApprovalHold: "The plan waits to be approved",
}

// The coordinator's codes of why a person must look.
var attentionLabels = map[string]string{
	"failed":         "A system failed",
	"over_limit":     "Too many records for one person",
	"basis":          "Records would be kept on a basis that does not hold",
	"no_connector":   "No system understands the identifiers",
	"no_rules":       "The rules of its law are not known",
	"plan_approval":  "The plan waits to be approved",
	"package_failed": "The package could not be made",
	"copy_review":    "The copy waits for a look before it is handed over",
	"mail_answer":    "The answer is to be printed and mailed",
}

var scopeLabels = map[request.DeleteScope]string{
	request.Provided: "Records the person provided", request.CollectedFrom: "Records collected from the person", request.AboutAny: "Records about the person, whatever their source",
}

var omissionLabels = map[string]string{
	"needs_identifier":      "needs another identifier",
	"not_supported":         "has no ability for this right",
	"role_service_provider": "holds records for customers only",
}

// inWords finds the words for a value; one without words speaks for itself.
func inWords[K ~string](words map[K]word, value K) word {
	w, ok := words[value]
	if !ok {
		w = word{Label: plain(string(value)), Tone: idle}
	}
	w.Value = string(value)
	return w
}

func label[K ~string](labels map[K]string, value K) string {
	return cmp.Or(labels[value], plain(string(value)))
}

// plain makes words of a code.
func plain(code string) string {
	text := strings.ReplaceAll(code, "_", " ")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// moment is a point in time, in words and for machines.
type moment struct{ Text, Day, Machine string }

func momentOf(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.UTC()
	return moment{t.Format("2 Jan 2006, 15:04 UTC"), t.Format("2 Jan 2006"), t.Format(time.RFC3339)}
}

// deadline is the day an answer is due, and how far it is.
type deadline struct {
	Day, Left string
	Tone      tone
}

// soon is when a deadline is near.
const soon = 7

// deadlineOf counts calendar days in the regime's zone. A request that was
// answered has no days left.
func deadlineOf(r *request.Request, now time.Time) deadline {
	day := r.AnswerBy()
	d := deadline{Day: day.String(), Tone: idle}
	if r.State() == request.Closed || day.IsZero() {
		return d
	}
	today := today(r, now)
	left := int(day.Start(time.UTC).Sub(today.Start(time.UTC)).Hours() / 24)
	alarm := r.Terms.Due.Alarm()
	switch {
	case left < 0:
		d.Left, d.Tone = days(-left)+" late", bad
	case left == 0:
		d.Left, d.Tone = "due today", bad
	default:
		d.Left = days(left) + " left"
		if left <= soon || (r.Extension == nil && !alarm.IsZero() && today.After(alarm)) {
			d.Tone = warn
		}
	}
	return d
}

// today is the day it is where the request's law counts days.
func today(r *request.Request, now time.Time) request.Date {
	loc, err := time.LoadLocation(r.Terms.Due.Zone)
	if err != nil {
		loc = time.UTC
	}
	return request.DateOf(now, loc)
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}

// number writes a count with thin spaces between thousands.
func number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
