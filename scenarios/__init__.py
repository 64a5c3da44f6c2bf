"""Where and when: sites, their nets and their demand days."""
