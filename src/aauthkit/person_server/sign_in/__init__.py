"""Who the person is: an identity provider or passkeys, whether they still stand there, how lately they proved it."""
