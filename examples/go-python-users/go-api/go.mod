module users

go 1.24.0

require eshm v0.0.0

require golang.org/x/sys v0.40.0 // indirect

replace eshm => ../../../go
