module github.com/habeas-data/habeas/services

go 1.26.0

require github.com/habeas-data/habeas/proto v0.0.0-00010101000000-000000000000

require (
	github.com/goccy/go-yaml v1.19.2 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/nyaruka/phonenumbers v1.8.0 // indirect
	github.com/rickar/cal/v2 v2.1.13 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)

replace github.com/habeas-data/habeas/proto => ../proto
