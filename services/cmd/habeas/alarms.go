package main

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/habeas-data/habeas/services/alarm"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/internal/tries"
	"github.com/habeas-data/habeas/services/regimes"
)

// addAlarms measures what somebody has to be called for.
func (r *runtime) addAlarms() error {
	set, err := regimes.Load()
	if err != nil {
		return err
	}
	lists, err := ledgerOf(r.store, r.vault)
	if err != nil {
		return err
	}
	return alarm.Watch{Store: r.store, Drop: lists, Regimes: set, Broker: r.Drop.People != ""}.Register(otel.Meter("habeas/alarm"))
}

// watchSenders counts what comes of the messages that are sent, where there is
// somebody to send them; all of one way are counted together.
func watchSenders(meter metric.Meter, letters mail.Sender, texts sms.Sender) (mail.Sender, sms.Sender, error) {
	var names []string
	if letters != nil {
		names = append(names, "mail")
	}
	if texts != nil {
		names = append(names, "text")
	}
	ways, err := tries.New(meter, names...)
	if err != nil {
		return nil, nil, err
	}
	if letters != nil {
		letters = mail.Watch(letters, ways[0])
	}
	if texts != nil {
		texts = sms.Watch(texts, ways[len(ways)-1])
	}
	return letters, texts, nil
}
