"""Reports: what is owed and why, by accounting date, in points and money; each ties to the books.

catalog           which reports there are, and what each can be broken down by
periods           the days that a report covers, and the cuts between which it may be
report            what every report is made of: columns, rows, totals, checks, links
values            what points are worth on which day
roll_forward ...  one module a report
customers         what customers do: of all, and with a row for each
csv_text          a report as CSV
"""
