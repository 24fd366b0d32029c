"""The tools: the company's inventory, hiring plan, prices and lead times as MCP tools over streamable HTTP."""
