"""Pages of the website, one class a URL, that switch on the HTTP method; in the API's folders, operators' in `sites`.

Each function here lets pass what a call of the API raises, Failure for a refusal and Moved for 301, also while it shows
a refused form again, unless its docstring says which refusals it deals with (`View`).
"""
