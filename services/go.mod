module github.com/habeas-data/habeas/services

go 1.26.0

require github.com/habeas-data/habeas/proto v0.0.0-00010101000000-000000000000

replace github.com/habeas-data/habeas/proto => ../proto
