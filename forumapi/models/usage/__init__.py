"""Plans and usage of sites, the hours of usage that are sent to a biller, and figures of the whole platform."""
