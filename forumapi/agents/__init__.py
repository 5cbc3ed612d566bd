"""MCP server of each site: the tools by which agents use the API, and the protocol around them."""
